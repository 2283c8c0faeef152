//! Text and actions, and the words of actions.

use serde_json::Value;

use crate::ast::Span;
use crate::error::{Fault, Problem};
use crate::literal;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    /// Outside actions, with what trim markers leave of it.
    Text(String),
    /// `{{`
    Open,
    /// `}}`
    Close,
    /// `.` alone.
    Dot,
    /// `.Name`, without its dot.
    Field(String),
    /// `$` or `$name`, with the `$`.
    Variable(String),
    /// A keyword, `true`, `false`, `nil` or a function's name.
    Word(String),
    Literal(Value),
    Bar,
    Comma,
    Declare,
    Assign,
    LeftParenthesis,
    RightParenthesis,
}

#[derive(Debug, Clone)]
pub(crate) struct Lexeme {
    pub(crate) token: Token,
    pub(crate) span: Span,
    /// Whether white space stands before it: `.A.B` is one operand, `.A .B` are two.
    pub(crate) spaced: bool,
}

type Result<T> = std::result::Result<T, Fault<Problem>>;

/// All tokens of a template.
pub(crate) fn lex(source: &str) -> Result<Vec<Lexeme>> {
    let mut lexer = Lexer { source, at: 0, lexemes: Vec::new() };
    let mut trims = false;
    while lexer.at < source.len() {
        lexer.text(trims);
        if lexer.at < source.len() {
            trims = lexer.action()?;
        }
    }
    Ok(lexer.lexemes)
}

struct Lexer<'s> {
    source: &'s str,
    at: usize,
    lexemes: Vec<Lexeme>,
}

/// The white space that trim markers and operands know.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Whether the action begins with a trim marker: a minus and white space.
fn trims_left(action: &str) -> bool {
    action.strip_prefix('-').is_some_and(|rest| rest.starts_with(is_space))
}

impl<'s> Lexer<'s> {
    fn rest(&self) -> &'s str {
        &self.source[self.at..]
    }

    fn push(&mut self, token: Token, length: usize, spaced: bool) {
        let span = self.at..self.at + length;
        self.at = span.end;
        self.lexemes.push(Lexeme { token, span, spaced });
    }

    /// The text up to the next action.
    fn text(&mut self, trim_left: bool) {
        let rest = self.rest();
        let length = rest.find("{{").unwrap_or(rest.len());
        let mut text = &rest[..length];
        if trim_left {
            text = text.trim_start_matches(is_space);
        }
        if rest.get(length + 2..).is_some_and(trims_left) {
            text = text.trim_end_matches(is_space);
        }
        if text.is_empty() {
            self.at += length;
        } else {
            self.push(Token::Text(text.to_owned()), length, false);
        }
    }

    /// An action or a comment. Says whether it trims the text after it.
    fn action(&mut self) -> Result<bool> {
        let opening = self.at;
        let inside = &self.rest()[2..];
        let marker = usize::from(trims_left(inside));
        let content = if marker == 1 { inside[1..].trim_start_matches(is_space) } else { inside };
        if content.starts_with("/*") {
            self.at = self.source.len() - content.len();
            return self.comment(opening);
        }
        self.push(Token::Open, 2 + marker, false);
        loop {
            let rest = self.rest().trim_start_matches(is_space);
            let spaced = rest.len() < self.rest().len();
            self.at = self.source.len() - rest.len();
            if let Some((length, trims)) = closing(rest, spaced) {
                self.push(Token::Close, length, spaced);
                return Ok(trims);
            }
            self.word(opening, spaced)?;
        }
    }

    fn comment(&mut self, opening: usize) -> Result<bool> {
        let unclosed = || Fault::new(opening, Problem::UnclosedComment);
        let length = self.rest()[2..].find("*/").ok_or_else(unclosed)? + 4;
        let after = &self.rest()[length..];
        let rest = after.trim_start_matches(is_space);
        let spaced = rest.len() < after.len();
        let (length, trims) = closing(rest, spaced).filter(|close| close.1 || !spaced).ok_or_else(unclosed)?;
        self.at = self.source.len() - rest.len() + length;
        Ok(trims)
    }

    /// One token inside an action.
    fn word(&mut self, opening: usize, spaced: bool) -> Result<()> {
        let rest = self.rest();
        let (token, length) = match rest.chars().next() {
            None => return Err(Fault::new(opening, Problem::UnclosedAction)),
            Some('|') => (Token::Bar, 1),
            Some(',') => (Token::Comma, 1),
            Some('(') => (Token::LeftParenthesis, 1),
            Some(')') => (Token::RightParenthesis, 1),
            Some('=') => (Token::Assign, 1),
            Some(':') if rest.starts_with(":=") => (Token::Declare, 2),
            Some('"' | '`' | '\'' | '+' | '-' | '0'..='9') => self.literal()?,
            Some('.') if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => self.literal()?,
            Some(first @ ('.' | '$')) => named(first, rest),
            Some(c) if is_word(c) => {
                let name = word_at(rest);
                (Token::Word(name.to_owned()), name.len())
            }
            Some(c) => return Err(self.unexpected(c)),
        };
        self.push(token, length, spaced);
        Ok(())
    }

    fn unexpected(&self, c: char) -> Fault<Problem> {
        let expected = "a field, a variable, a function or a constant";
        Fault::new(self.at, Problem::Unexpected { found: format!("{c:?}"), expected })
    }

    fn literal(&self) -> Result<(Token, usize)> {
        let (value, length) = literal::read(self.rest()).map_err(|problem| Fault::new(self.at, problem))?;
        Ok((Token::Literal(value), length))
    }
}

/// The length of the action's end, if it is here, and whether it trims.
fn closing(rest: &str, spaced: bool) -> Option<(usize, bool)> {
    if rest.starts_with("}}") { Some((2, false)) } else { (spaced && rest.starts_with("-}}")).then_some((3, true)) }
}

fn word_at(text: &str) -> &str {
    &text[..text.find(|c| !is_word(c)).unwrap_or(text.len())]
}

/// A field or a variable, which begin with a mark.
fn named(mark: char, rest: &str) -> (Token, usize) {
    let name = word_at(&rest[1..]);
    let token = match mark {
        '$' => Token::Variable(format!("${name}")),
        _ if name.is_empty() => Token::Dot,
        _ => Token::Field(name.to_owned()),
    };
    (token, 1 + name.len())
}
