//! Domain names from the network, on their way to a resolv.conf.

use dhcproto::Decoder;

/// More than any resolver uses (resolv.conf(5)), few enough to be no burden.
const MAX_NAMES: usize = 32;
/// RFC 1035, section 2.3.4, without the last dot.
const MAX_LENGTH: usize = 253;

/// The name, without a dot at its end; `None` if it is none that could stand in a resolv.conf.
pub(crate) fn domain(text: &str) -> Option<String> {
    let name = text.trim_end_matches('.');
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let valid = !name.is_empty() && name.len() <= MAX_LENGTH && name.bytes().all(allowed);
    let labels = name.split('.').all(|label| (1..=63).contains(&label.len()));
    (valid && labels).then(|| name.to_owned())
}

/// The names of a list in DNS's own form, compressed or not (RFC 3397, RFC 3646). Each once.
pub(crate) fn list(bytes: &[u8]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let read = Decoder::new(bytes).read_domains(bytes.len()).unwrap_or_default();
    for name in read.iter().filter_map(|name| domain(&name.to_ascii())) {
        if names.len() < MAX_NAMES && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_letters_digits_hyphens_and_dots() {
        assert_eq!(domain("example.org."), Some("example.org".into()));
        assert_eq!(domain("_dmarc.a-b.C9"), Some("_dmarc.a-b.C9".into()));
        let (long_label, long_name) = ("a".repeat(64), "a.".repeat(127) + "aa");
        for bad in [
            "",
            ".",
            "a..b",
            "a b",
            "a\nnameserver 6.6.6.6",
            "a\0",
            "b\u{fc}cher.example",
            "a;b",
            "#",
            &long_label,
            &long_name,
        ] {
            assert_eq!(domain(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_list_may_be_compressed() {
        // RFC 3397, section 2, has this form: eng.apple.com, marketing.apple.com.
        let bytes = b"\x03eng\x05apple\x03com\x00\x09marketing\xc0\x04";
        assert_eq!(list(bytes), ["eng.apple.com", "marketing.apple.com"]);
        assert_eq!(list(b"\x01a\x00\x01a\x00\x01b\x00"), ["a", "b"], "each once");
    }

    #[test]
    fn a_list_that_is_none_ends_where_it_goes_wrong() {
        assert_eq!(list(b""), [""; 0]);
        assert_eq!(list(b"\xc0\x00"), [""; 0], "it points at itself");
        assert_eq!(list(b"\x01a\xc0\x02\xc0\x00"), [""; 0], "two point at each other");
        assert_eq!(list(b"\xc0\x02\x01a\x00"), [""; 0], "it points forward");
        assert_eq!(list(b"\x01a\x00\x3fshort"), ["a"]);
        assert_eq!(list(b"\x0aa\nnameserv\x00\x01b\x00"), ["b"], "a line feed is in no name");
    }

    #[test]
    fn a_list_made_to_grow_stays_small() {
        let mut bytes = b"\x3f".to_vec();
        bytes.extend([b'a'; 63]);
        bytes.push(0);
        for _ in 0..2000 {
            bytes.extend(b"\x01b\xc0\x00");
        }
        assert!(list(&bytes).len() <= 2);
    }
}
