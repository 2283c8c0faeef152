//! Rules, in the order and form in which `iptables-save` prints them: only so can a rule be found again
//! in what is saved, also one that another program made.

use std::fmt;

use ipnetwork::IpNetwork;

use crate::{Argument, Chain, Comment, Interface};

/// A rule without its chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rule(Vec<String>);

impl Rule {
    /// A rule that matches everything and does nothing.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Appends words that stand in the source code, split at spaces.
    #[must_use]
    pub(crate) fn words(mut self, words: &'static str) -> Self {
        self.0.extend(words.split_whitespace().map(str::to_owned));
        self
    }

    /// Appends one word from elsewhere.
    #[must_use]
    pub(crate) fn argument(mut self, word: &Argument) -> Self {
        self.0.push(word.as_str().to_owned());
        self
    }

    /// Appends a number in decimal.
    #[must_use]
    pub(crate) fn number(mut self, number: u16) -> Self {
        self.0.push(number.to_string());
        self
    }

    /// Matches packets from `network`; every packet if the network is all of the internet.
    #[must_use]
    pub(crate) fn source(self, network: IpNetwork) -> Self {
        self.network("-s", network)
    }

    /// Matches packets to `network`; every packet if the network is all of the internet.
    #[must_use]
    pub(crate) fn destination(self, network: IpNetwork) -> Self {
        self.network("-d", network)
    }

    /// Matches packets that came in through `interface`.
    #[must_use]
    pub(crate) fn input(self, interface: &Interface) -> Self {
        self.words("-i").raw(interface.as_str())
    }

    /// Matches packets that go out through `interface`.
    #[must_use]
    pub(crate) fn output(self, interface: &Interface) -> Self {
        self.words("-o").raw(interface.as_str())
    }

    /// Adds a comment match, which matches every packet.
    #[must_use]
    pub(crate) fn comment(self, comment: &Comment) -> Self {
        self.words("-m comment --comment").raw(comment.as_str())
    }

    /// Adds a comment that stands in this crate.
    pub(crate) fn remark(self, comment: &'static str) -> Self {
        self.words("-m comment --comment").raw(comment)
    }

    /// Sends matching packets through `chain`.
    #[must_use]
    pub(crate) fn jump(self, chain: &Chain) -> Self {
        self.words("-j").raw(chain.as_str())
    }

    /// Appends a word that this crate made from checked parts.
    pub(crate) fn raw(mut self, word: &str) -> Self {
        self.0.push(word.to_owned());
        self
    }

    /// A saved rule's words, to delete it by.
    pub(crate) fn from_saved(words: Vec<String>) -> Self {
        Self(words)
    }

    pub(crate) fn as_words(&self) -> &[String] {
        &self.0
    }

    fn network(self, option: &'static str, network: IpNetwork) -> Self {
        if network.prefix() == 0 {
            return self;
        }
        self.words(option).raw(&format!("{}/{}", network.network(), network.prefix()))
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, word) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(&quote(word))?;
        }
        Ok(())
    }
}

/// A word as `iptables-restore` takes it: bare if that is safe, else in double quotes, in which a backslash
/// takes the next character's meaning away.
fn quote(word: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:,=+@%![]".contains(&byte);
    if !word.is_empty() && word.bytes().all(bare) {
        return word.to_owned();
    }
    let mut quoted = String::from("\"");
    for character in word.chars() {
        if matches!(character, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}

/// Splits a line of `iptables-save` into words, undoing its quotes.
pub(crate) fn split(line: &str) -> Vec<String> {
    let (mut words, mut word, mut inside, mut quoted) = (Vec::new(), String::new(), false, false);
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => {
                inside = !inside;
                quoted = true;
            }
            '\\' if inside => word.extend(characters.next()),
            ' ' if !inside => {
                if quoted || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                quoted = false;
            }
            _ => word.push(character),
        }
    }
    if quoted || !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_reads_like_the_line_that_is_saved() {
        let comment = Comment::of_attachment("", "net", "c1").expect("a comment");
        let rule = Rule::new()
            .source("10.1.2.3/24".parse().expect("a network"))
            .comment(&comment)
            .jump(&Chain::known("CNI-X"));
        assert_eq!(rule.to_string(), r#"-s 10.1.2.0/24 -m comment --comment "name: \"net\" id: \"c1\"" -j CNI-X"#);
        assert_eq!(split(&rule.to_string()), rule.as_words());
    }

    #[test]
    fn all_of_the_internet_is_not_spelt_out() {
        assert_eq!(Rule::new().source("0.0.0.0/0".parse().expect("a network")).to_string(), "");
        assert_eq!(Rule::new().destination("::/0".parse().expect("a network")).to_string(), "");
    }

    #[test]
    fn hostile_words_stay_one_word() {
        for word in ["a b", "\"", "\\", "a\\\" -j DROP", "'", "$(reboot)", "`x`", "#", "é"] {
            let rule = Rule::new().argument(&Argument::new(word).expect("a word"));
            assert_eq!(split(&rule.to_string()), [word], "{rule}");
        }
    }

    #[test]
    fn an_empty_quoted_word_is_kept() {
        assert_eq!(split(r#"a "" b"#), ["a", "", "b"]);
    }
}
