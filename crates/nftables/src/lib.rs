//! An nf_tables encoder and ferrocni's ruleset
