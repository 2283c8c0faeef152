//! What can be wrong with a template, and with a template for a value.

use thiserror::Error;

use crate::ast::Span;
use crate::position::{Position, excerpt};

/// Why a template could not be parsed or rendered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// The template is not one.
    #[error("template {position}: {problem}")]
    Syntax {
        /// Where parsing stopped.
        position: Position,
        /// What was found there.
        problem: Problem,
    },
    /// An action cannot be carried out with the value that it was given.
    #[error("template {position}, in {action}: {failure}")]
    Execution {
        /// The operand that failed.
        position: Position,
        /// The action's source, shortened.
        action: String,
        /// What failed.
        failure: Failure,
    },
    /// The value nests deeper than the recursion over it may go.
    #[error("the value to render nests more than {limit} levels deep")]
    ValueTooDeep {
        /// The deepest value that is rendered.
        limit: usize,
    },
}

impl Error {
    pub(crate) fn syntax(source: &str, fault: Fault<Problem>) -> Error {
        Error::Syntax { position: Position::of(source, fault.at), problem: fault.what }
    }

    pub(crate) fn execution(source: &str, action: &Span, fault: Fault<Failure>) -> Error {
        Error::Execution {
            position: Position::of(source, fault.at),
            action: excerpt(source, action),
            failure: fault.what,
        }
    }
}

/// Something wrong at a byte of the source.
#[derive(Debug)]
pub(crate) struct Fault<T> {
    pub(crate) at: usize,
    pub(crate) what: T,
}

impl<T> Fault<T> {
    pub(crate) fn new(at: usize, what: T) -> Fault<T> {
        Fault { at, what }
    }
}

/// What is wrong with a template's text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Problem {
    /// An action has no end.
    #[error("this action is not closed, expected }}}}")]
    UnclosedAction,
    /// A comment has no end, or more than a comment stands in its action.
    #[error("this comment is not closed, expected */}}}}")]
    UnclosedComment,
    /// A quotation has no end on its line.
    #[error("this quotation is not closed, expected {quote}")]
    UnclosedQuote {
        /// The character that would close it.
        quote: char,
    },
    /// A backslash with something after it that is no escape.
    #[error("unknown escape \\{escape} in a quotation")]
    UnknownEscape {
        /// What follows the backslash.
        escape: String,
    },
    /// A character constant that is not one character.
    #[error("a character constant holds one character, as in 'a'")]
    BadCharacter,
    /// Digits that are no number, or one that is too large.
    #[error("{text:?} is not a number")]
    BadNumber {
        /// The digits.
        text: String,
    },
    /// Something that may not stand there.
    #[error("unexpected {found}, expected {expected}")]
    Unexpected {
        /// What stands there.
        found: String,
        /// What may.
        expected: &'static str,
    },
    /// Two operands without a space between them.
    #[error("expected a space, |, ) or }}}} before {found}")]
    MissingSpace {
        /// What the second begins with.
        found: String,
    },
    /// A function that there is not.
    #[error("no function {name:?}; the functions are {known}")]
    UnknownFunction {
        /// Its name in the template.
        name: String,
        /// All there are.
        known: String,
    },
    /// Something of Go's that is left out.
    #[error("{word:?} is not supported here")]
    Unsupported {
        /// Its keyword or the function's name.
        word: String,
    },
    /// A variable that is not declared there.
    #[error("no variable {name}; declare it with {{{{ {name} := … }}}}")]
    UnknownVariable {
        /// With its `$`.
        name: String,
    },
    /// `break` or `continue` outside `range`.
    #[error("{word} stands outside range")]
    OutsideRange {
        /// Which.
        word: &'static str,
    },
    /// `if`, `with` or `range` without its `end`.
    #[error("the template ends inside {{{{{opening}}}}} of {position}, expected {{{{end}}}}")]
    MissingEnd {
        /// The keyword.
        opening: &'static str,
        /// Where it stands.
        position: Position,
    },
    /// Actions or parentheses in each other, too many.
    #[error("actions nest more than {limit} levels deep")]
    TooDeep {
        /// How many there may be.
        limit: usize,
    },
}

/// What cannot be done with a value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Failure {
    /// A field that a structure does not have.
    #[error("no field {field:?}{}; the fields are {fields}", suggestion(.nearest.as_ref()))]
    NoField {
        /// The field asked for.
        field: String,
        /// Those there are.
        fields: String,
        /// The one that was probably meant.
        nearest: Option<String>,
    },
    /// A field of something that has none.
    #[error("{kind} has no fields, so no {field:?}")]
    NotAnObject {
        /// The field asked for.
        field: String,
        /// What was asked.
        kind: &'static str,
    },
    /// A function got too many or too few arguments.
    #[error("{function} takes {expected}, got {given}")]
    ArgumentCount {
        /// The function's name.
        function: &'static str,
        /// How many it takes.
        expected: String,
        /// How many it got.
        given: usize,
    },
    /// A function got something it cannot use.
    #[error("{function} takes {expected}, got {given}")]
    ArgumentKind {
        /// The function's name.
        function: &'static str,
        /// What it takes.
        expected: &'static str,
        /// What it got.
        given: &'static str,
    },
    /// A number outside what the function takes.
    #[error("{function} takes a number from 0 to {limit}, got {given}")]
    OutOfRange {
        /// The function's name.
        function: &'static str,
        /// The largest that it takes.
        limit: usize,
        /// What it got.
        given: i64,
    },
    /// An element of nothing.
    #[error("{function} asks for an element of what is empty")]
    NoElement {
        /// The function's name.
        function: &'static str,
    },
    /// A part of a string that cuts a character.
    #[error("bytes {start} to {end} cut a character")]
    InsideCharacter {
        /// The first byte.
        start: usize,
        /// The byte after the last.
        end: usize,
    },
    /// Two values that have no order, or are never equal.
    #[error("cannot compare {left} with {right}")]
    Incomparable {
        /// The first value's kind.
        left: &'static str,
        /// The other's.
        right: &'static str,
    },
    /// `range` over something without elements.
    #[error("cannot range over {kind}")]
    NotIterable {
        /// What it is.
        kind: &'static str,
    },
    /// Arguments for something that takes none.
    #[error("{kind} takes no arguments")]
    NotAFunction {
        /// What it is.
        kind: &'static str,
    },
    /// `nil` alone is nothing to print.
    #[error("nil is no command, only an argument")]
    NilCommand,
    /// The output, or a string on the way to it, is too large.
    #[error("this makes more than {limit} bytes")]
    TooLarge {
        /// How many there may be.
        limit: usize,
    },
    /// The template does too much.
    #[error("this takes more than {limit} steps")]
    TooManySteps {
        /// How many there may be.
        limit: usize,
    },
}

fn suggestion(nearest: Option<&String>) -> String {
    nearest.map_or_else(String::new, |name| format!(", did you mean {name:?}"))
}
