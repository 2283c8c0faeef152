//! The names of columns.

/// Names of columns by field; a field that is not there is written in upper-case words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Headers<'h> {
    pub(crate) names: &'h [(&'h str, &'h str)],
}

impl Headers<'_> {
    /// The name for `.First.Second`: of the whole path if it has one, else of its last field.
    pub(crate) fn of(&self, path: &[String]) -> String {
        let last = path.last().map_or("", String::as_str);
        let given = |field: &str| self.names.iter().find(|name| name.0 == field).map(|name| name.1.to_owned());
        given(&path.join(".")).or_else(|| given(last)).unwrap_or_else(|| words(last))
    }
}

/// `EndpointID` as `ENDPOINT ID`, `IPAMConfig` as `IPAM CONFIG`, `EnableIPv6` as `ENABLE IPV6`.
fn words(field: &str) -> String {
    let letters: Vec<char> = field.chars().collect();
    let mut words = String::new();
    for (at, letter) in letters.iter().enumerate() {
        if at > 0 && letter.is_uppercase() && begins_word(letters[at - 1], &letters[at + 1..]) {
            words.push(' ');
        }
        words.extend(letter.to_uppercase());
    }
    words
}

/// Whether a capital begins a word: after a small letter or digit, or before two small ones.
fn begins_word(before: char, after: &[char]) -> bool {
    !before.is_uppercase() && before.is_alphanumeric()
        || matches!(after, [a, b, ..] if a.is_lowercase() && b.is_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_without_a_name_are_upper_case_words() {
        let headers = Headers { names: &[("ID", "NETWORK ID"), ("IPAM.Driver", "IPAM DRIVER")] };
        for (path, name) in [
            ("ID", "NETWORK ID"),
            ("IPAM.Driver", "IPAM DRIVER"),
            ("Container.ID", "NETWORK ID"),
            ("Driver", "DRIVER"),
            ("EndpointID", "ENDPOINT ID"),
            ("EnableIPv6", "ENABLE IPV6"),
            ("IPv4Address", "IPV4 ADDRESS"),
            ("IPAMConfig", "IPAM CONFIG"),
        ] {
            let path: Vec<String> = path.split('.').map(str::to_owned).collect();
            assert_eq!(headers.of(&path), name);
        }
    }
}
