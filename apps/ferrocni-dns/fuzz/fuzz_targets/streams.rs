#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ferrocni_dns::fuzz::streams(bytes));
