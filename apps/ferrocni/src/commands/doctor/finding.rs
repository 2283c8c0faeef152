//! Something that is wrong, and what mends it.

use serde_json::{Value, json};

/// What a check has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// What it is about: a network, a container, a file, the host.
    object: String,
    problem: String,
    /// What to type. Empty where only a person can decide; the problem says what then.
    command: String,
}

impl Finding {
    pub(super) fn new(object: impl Into<String>, problem: impl AsRef<str>) -> Self {
        Self { object: printable(&object.into()), problem: printable(problem.as_ref()), command: String::new() }
    }

    pub(super) fn mended_by(self, command: impl Into<String>) -> Self {
        Self { command: command.into(), ..self }
    }

    pub(super) fn to_json(&self, check: &str) -> Value {
        json!({"Check": check, "Object": self.object, "Problem": self.problem, "Command": self.command})
    }
}

/// Names of files and words of other programs reach the terminal: without what moves its cursor.
fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

/// A word as a shell reads it.
pub(super) fn quote(word: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "/._-:=@%+,".contains(character);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    if word.chars().any(char::is_control) {
        return in_escapes(word);
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// As bash, ksh and zsh read it: the command stays one line, and shows every character that is in it.
fn in_escapes(word: &str) -> String {
    let escaped = word.chars().map(|character| match character {
        '\'' | '\\' => format!("\\{character}"),
        character if character.is_control() => format!("\\u{:04x}", u32::from(character)),
        character => character.to_string(),
    });
    format!("$'{}'", escaped.collect::<String>())
}

/// Commands of which each needs the one before.
pub(super) fn all_of(commands: impl IntoIterator<Item = String>) -> String {
    commands.into_iter().collect::<Vec<_>>().join(" && ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_words_as_they_are() {
        for word in ["plain/a.b-c", "", "a b", "it's", "$(reboot)", "-x", "a\nb'c\\d\u{1b}[2J", "é", "end\n"] {
            let echo = std::process::Command::new("bash").args(["-c", &format!("printf %s. {}", quote(word))]).output();
            let printed = String::from_utf8(echo.expect("bash").stdout).expect("text");
            assert_eq!(printed, format!("{word}."), "{}", quote(word));
            assert!(!quote(word).contains('\n'));
        }
    }

    #[test]
    fn nothing_in_a_finding_moves_the_cursor() {
        let found = Finding::new("a\u{1b}[2Jb", "c\nd").to_json("x").to_string();
        assert!(!found.contains("u001b") && !found.contains("\\n"), "{found}");
    }
}
