//! What a template is made of once it is parsed.

use std::ops::Range;

use serde_json::Value;

use crate::functions::Function;

/// Bytes of the template's source.
pub(crate) type Span = Range<usize>;

#[derive(Debug, Clone)]
pub(crate) enum Node {
    Text(String),
    Action { span: Span, pipeline: Pipeline },
    If(Branch),
    With(Branch),
    Range(Branch),
    Break,
    Continue,
}

/// `if`, `with` or `range`, up to its `end`.
#[derive(Debug, Clone)]
pub(crate) struct Branch {
    /// The opening action.
    pub(crate) span: Span,
    pub(crate) pipeline: Pipeline,
    pub(crate) body: Vec<Node>,
    pub(crate) otherwise: Vec<Node>,
}

#[derive(Debug, Clone)]
pub(crate) struct Pipeline {
    pub(crate) target: Option<Target>,
    /// At least one; each gets the result of the one before as its last argument.
    pub(crate) commands: Vec<Command>,
}

/// The variables that a pipeline's result goes to.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// With their `$`; two only in a `range`.
    pub(crate) names: Vec<String>,
    /// `:=` makes new variables, `=` changes those there are.
    pub(crate) declares: bool,
}

/// A function or a value, and what it is given.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    pub(crate) head: Operand,
    pub(crate) arguments: Vec<Operand>,
}

/// A term and the fields asked of it: `$x.Name`, `(index .List 0).Name`, `.Name`.
#[derive(Debug, Clone)]
pub(crate) struct Operand {
    pub(crate) at: usize,
    pub(crate) term: Term,
    pub(crate) fields: Vec<String>,
}

#[derive(Debug, Clone)]
pub(crate) enum Term {
    Dot,
    Variable(String),
    Function(&'static Function),
    Literal(Value),
    Pipeline(Box<Pipeline>),
}

impl Pipeline {
    /// Where its first command begins.
    pub(crate) fn at(&self) -> usize {
        self.commands.first().map_or(0, |command| command.head.at)
    }
}
