//! What `iptables-save` printed, searched where it lies: a host with thousands of rules must not cost
//! a parsed copy of each.

use std::collections::BTreeSet;

use crate::rule::split;
use crate::{Chain, Rule};

/// One table as it was when it was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Saved {
    text: String,
}

impl Saved {
    pub(crate) fn new(text: String) -> Self {
        Self { text }
    }

    pub(crate) fn has_chain(&self, chain: &Chain) -> bool {
        let chains = self.text.lines().filter_map(|line| line.strip_prefix(':'));
        chains.filter_map(|line| line.split(' ').next()).any(|name| name == chain.as_str())
    }

    /// Whether `chain` holds this very rule.
    pub(crate) fn contains(&self, chain: &Chain, rule: &Rule) -> bool {
        self.rules_of(chain).any(|line| split(line) == rule.as_words())
    }

    /// All rules of `chain`, in words, where many are looked for.
    pub(crate) fn all_of(&self, chain: &Chain) -> BTreeSet<Vec<String>> {
        self.rules_of(chain).map(split).collect()
    }

    /// Whether some rule of `chain` jumps to `target`.
    pub(crate) fn jumps(&self, chain: &Chain, target: &Chain) -> bool {
        self.rules_of(chain).any(|line| jumps_to(line, target))
    }

    /// All rules that jump to `target`, with their chains.
    pub(crate) fn rules_to(&self, target: &Chain) -> impl Iterator<Item = (Chain, Rule)> {
        self.rules()
            .filter(|(_, line)| jumps_to(line, target))
            .filter_map(|(chain, line)| Some((Chain::new(chain).ok()?, Rule::from_saved(split(line)))))
    }

    /// All comments, with the target of the rule that carries one.
    pub(crate) fn comments(&self) -> impl Iterator<Item = (String, String)> {
        self.rules().filter(|(_, line)| line.contains("--comment ")).filter_map(|(_, line)| {
            let words = split(line);
            let after = |option| words.iter().skip_while(|word| *word != option).nth(1).cloned();
            Some((after("--comment")?, after("-j")?))
        })
    }

    pub(crate) fn rules_of(&self, chain: &Chain) -> impl Iterator<Item = &str> {
        self.rules().filter(|(name, _)| *name == chain.as_str()).map(|(_, line)| line)
    }

    fn rules(&self) -> impl Iterator<Item = (&str, &str)> {
        self.text.lines().filter_map(|line| {
            let rest = line.strip_prefix("-A ")?;
            Some(rest.split_once(' ').unwrap_or((rest, "")))
        })
    }
}

/// The target is not always the last thing in a rule: it may have options of its own.
fn jumps_to(line: &str, target: &Chain) -> bool {
    line.contains(target.as_str()) && split(line).windows(2).any(|pair| pair[0] == "-j" && pair[1] == target.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved() -> Saved {
        Saved::new(
            "# Generated\n*nat\n:PREROUTING ACCEPT [0:0]\n:CNI-X - [0:0]\n\
             -A PREROUTING -m comment --comment \"name: \\\"n\\\" id: \\\"c\\\"\" -j CNI-X\n\
             -A PREROUTING -m comment --comment \"-j CNI-Y\" -j ACCEPT\n-A CNI-X\nCOMMIT\n"
                .into(),
        )
    }

    #[test]
    fn chains_and_rules_are_found() {
        let (saved, x, prerouting) = (saved(), Chain::known("CNI-X"), Chain::known("PREROUTING"));
        assert!(saved.has_chain(&x));
        assert!(!saved.has_chain(&Chain::known("CNI-")));
        assert!(saved.jumps(&prerouting, &x));
        assert!(saved.contains(&x, &Rule::new()));
        assert_eq!(saved.rules_to(&x).count(), 1);
        assert_eq!(saved.comments().next(), Some(("name: \"n\" id: \"c\"".into(), "CNI-X".into())));
    }

    #[test]
    fn words_inside_a_comment_are_no_target() {
        assert_eq!(saved().rules_to(&Chain::known("CNI-Y")).count(), 0);
    }
}
