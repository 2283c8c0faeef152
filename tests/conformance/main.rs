//! What the CNI specification demands of every plugin. Each test quotes the sentence that it proves.
//!
//! Quoted is [SPEC.md](https://github.com/containernetworking/cni/blob/main/SPEC.md) 1.1.0 by its section's name. Operations and sections that were there before 1.1.0 were
//! compared with the text of `spec-v1.0.0`; GC and STATUS with the changes that brought them (pull requests 981,
//! 1003 and 1103 of containernetworking/cni). "Conventions" is CONVENTIONS.md beside it. Where a test has no quote,
//! it is a promise of ours that goes beyond the specification.
//!
//! - `environment`: parameters in environment variables, the about text
//! - `version`: VERSION, and which version a configuration may ask for
//! - `configuration`: the JSON on stdin and how it is read
//! - `arguments`: `CNI_ARGS`, `args` and `runtimeConfig`
//! - `results`: what ADD prints in each version of the specification
//! - `previous_result`: `prevResult` in each version, and who has to repeat it
//! - `delegation`: calling an IPAM plugin
//! - `errors`: the form of an error
//! - `operations`: what ADD, DEL, CHECK, GC and STATUS may rely on and have to do
//! - `bad_input`: input from somebody who makes a mistake, or means harm
//! - `mutations`: the same with every value of a configuration replaced
//! - `interrupted`: killed in the middle, or with nobody listening

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod arguments;
mod bad_input;
mod configuration;
mod delegation;
mod environment;
mod errors;
mod interrupted;
mod mutations;
mod operations;
mod previous_result;
mod results;
mod version;

use tests::scene;
