//! How wide text will be. Which font a reader has is not known: these are widths of wide ones, so that what is cut to fit does.

use unicode_width::UnicodeWidthChar as _;

use super::super::text::visible;

/// A font in the picture, as the classes of `palette` have it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Font {
    /// Its class.
    pub(super) class: &'static str,
    /// Height of a line's letters in pixels.
    size: f64,
    /// Width of a usual letter, as a part of the size.
    letter: f64,
    is_fixed: bool,
}

pub(super) const TITLE: Font = Font { class: "title", size: 20.0, letter: 0.66, is_fixed: false };
pub(super) const HEADING: Font = Font { class: "heading", size: 14.0, letter: 0.66, is_fixed: false };
pub(super) const NAME: Font = Font { class: "name", size: 12.5, letter: 0.66, is_fixed: false };
pub(super) const SMALL: Font = Font { class: "small", size: 11.0, letter: 0.6, is_fixed: false };
pub(super) const CODE: Font = Font { class: "code", size: 11.0, letter: 0.61, is_fixed: true };

impl Font {
    /// The width of a text in pixels.
    pub(super) fn width(self, text: &str) -> f64 {
        text.chars().map(|character| self.width_of(character)).sum()
    }

    fn width_of(self, character: char) -> f64 {
        let part = match character {
            _ if character.width() == Some(2) => 1.0_f64.max(2.0 * self.letter),
            _ if character.width() == Some(0) => 0.0,
            _ if self.is_fixed => self.letter,
            'i' | 'j' | 'l' | 'f' | 't' | 'r' | '.' | ',' | ':' | ' ' | '/' | '(' | ')' => 0.6 * self.letter,
            'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' | '→' => 1.5 * self.letter,
            _ if character.is_uppercase() => 1.15 * self.letter,
            _ => self.letter,
        };
        part * self.size
    }

    /// The text, or as much of its beginning and of its end as fits: long names are often told apart by the last few letters.
    pub(super) fn fit(self, text: &str, room: f64) -> String {
        let text = visible(text);
        if self.width(&text) <= room {
            return text;
        }
        let beginning = self.as_much_as_fits(text.chars(), (room + self.width("…")) / 2.0);
        let end = self.fit_end(&text, room - self.width(&beginning));
        beginning + &end
    }

    /// The same with the end only: where an address is cut, what tells it from its neighbours stays.
    pub(super) fn fit_end(self, text: &str, room: f64) -> String {
        let text = visible(text);
        if self.width(&text) <= room {
            return text;
        }
        "…".chars().chain(self.as_much_as_fits(text.chars().rev(), room).chars().rev()).collect()
    }

    fn as_much_as_fits(self, characters: impl Iterator<Item = char>, room: f64) -> String {
        let mut left = room - self.width("…");
        let fits = |character: &char| {
            left -= self.width_of(*character);
            left >= 0.0
        };
        characters.take_while(fits).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        let name = "a-very-long-name-of-a-container";
        assert_eq!(NAME.fit(name, 1000.0), name);
        let cut = NAME.fit(name, 90.0);
        assert!(cut.starts_with("a-v") && cut.ends_with("ner") && NAME.width(&cut) <= 90.0, "{cut}");
        let cut = CODE.fit_end("fd00:1:2:3:4:5:6:7", 60.0);
        assert!(cut.starts_with('…') && cut.ends_with("6:7") && CODE.width(&cut) <= 60.0, "{cut}");
    }

    #[test]
    fn wide_characters_take_more_room() {
        assert!(NAME.width("網網") > NAME.width("ab") * 1.4);
    }
}
