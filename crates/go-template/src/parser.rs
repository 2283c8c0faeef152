//! From tokens to a tree.

use serde_json::Value;

use crate::ast::{Branch, Command, Node, Operand, Pipeline, Span, Target, Term};
use crate::error::{Fault, Problem};
use crate::functions;
use crate::lexer::{self, Lexeme, Token};
use crate::position::Position;

/// How deep blocks and parentheses may nest: the tree is walked by recursion.
const DEPTH: usize = 100;

/// What Go's templates have and these do not.
const UNSUPPORTED: [&str; 7] = ["block", "call", "define", "html", "js", "template", "urlquery"];

type Result<T> = std::result::Result<T, Fault<Problem>>;

pub(crate) fn parse(source: &str) -> Result<Vec<Node>> {
    let lexemes = lexer::lex(source)?;
    let variables = vec!["$".to_owned()];
    let mut parser = Parser { source, lexemes: &lexemes, next: 0, variables, depth: 0, loops: 0 };
    let (nodes, stop) = parser.nodes()?;
    match stop {
        Stop::EndOfTemplate => Ok(nodes),
        Stop::Else(span) => Err(unexpected(span.start, "{{else}}", "if, with or range before it")),
        Stop::End(span) => Err(unexpected(span.start, "{{end}}", "if, with or range before it")),
    }
}

struct Parser<'s> {
    source: &'s str,
    lexemes: &'s [Lexeme],
    next: usize,
    /// The names in scope, with their `$`.
    variables: Vec<String>,
    depth: usize,
    /// The number of `range`s around.
    loops: usize,
}

/// What a list of nodes ends at; only the keyword is read.
enum Stop {
    EndOfTemplate,
    Else(Span),
    End(Span),
}

#[derive(Clone, Copy, PartialEq)]
enum Opening {
    If,
    With,
    Range,
}

impl Opening {
    fn keyword(self) -> &'static str {
        match self {
            Opening::If => "if",
            Opening::With => "with",
            Opening::Range => "range",
        }
    }

    fn node(self, branch: Branch) -> Node {
        match self {
            Opening::If => Node::If(branch),
            Opening::With => Node::With(branch),
            Opening::Range => Node::Range(branch),
        }
    }
}

fn unexpected(at: usize, found: &str, expected: &'static str) -> Fault<Problem> {
    Fault::new(at, Problem::Unexpected { found: found.to_owned(), expected })
}

impl<'s> Parser<'s> {
    fn peek(&self) -> Option<&'s Lexeme> {
        self.lexemes.get(self.next)
    }

    fn peeked(&self, token: &Token) -> bool {
        self.peek().is_some_and(|lexeme| lexeme.token == *token)
    }

    fn take(&mut self, token: &Token) -> bool {
        let taken = self.peeked(token);
        self.next += usize::from(taken);
        taken
    }

    /// Where the next token begins.
    fn at(&self) -> usize {
        self.peek().map_or(self.source.len(), |lexeme| lexeme.span.start)
    }

    /// The next token is none of those that fit here.
    fn misplaced(&self, expected: &'static str) -> Fault<Problem> {
        let found = self.peek().map_or("the end", |lexeme| &self.source[lexeme.span.clone()]);
        unexpected(self.at(), found, expected)
    }

    /// Where the action ends.
    fn close(&mut self) -> Result<usize> {
        match self.peek() {
            Some(Lexeme { token: Token::Close, span, .. }) => {
                self.next += 1;
                Ok(span.end)
            }
            _ => Err(self.misplaced("}}")),
        }
    }

    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth == DEPTH {
            return Err(Fault::new(self.at(), Problem::TooDeep { limit: DEPTH }));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn nodes(&mut self) -> Result<(Vec<Node>, Stop)> {
        let mut nodes = Vec::new();
        while let Some(lexeme) = self.peek() {
            self.next += 1;
            match &lexeme.token {
                Token::Text(text) => nodes.push(Node::Text(text.clone())),
                _ => match self.keyword() {
                    Some("else") => return Ok((nodes, Stop::Else(lexeme.span.clone()))),
                    Some("end") => {
                        self.close()?;
                        return Ok((nodes, Stop::End(lexeme.span.clone())));
                    }
                    keyword => nodes.push(self.action(lexeme.span.start, keyword)?),
                },
            }
        }
        Ok((nodes, Stop::EndOfTemplate))
    }

    /// Takes the keyword that an action begins with.
    fn keyword(&mut self) -> Option<&'s str> {
        const KEYWORDS: [&str; 7] = ["break", "continue", "else", "end", "if", "range", "with"];
        match &self.peek()?.token {
            Token::Word(word) if KEYWORDS.contains(&word.as_str()) => {
                self.next += 1;
                Some(word)
            }
            _ => None,
        }
    }

    fn action(&mut self, start: usize, keyword: Option<&str>) -> Result<Node> {
        match keyword {
            Some("if") => self.deeper(|parser| parser.branch(start, Opening::If)),
            Some("with") => self.deeper(|parser| parser.branch(start, Opening::With)),
            Some("range") => self.deeper(|parser| parser.branch(start, Opening::Range)),
            Some("break") => self.leave(start, "break", Node::Break),
            Some("continue") => self.leave(start, "continue", Node::Continue),
            _ => {
                let pipeline = self.pipeline(1)?;
                Ok(Node::Action { span: start..self.close()?, pipeline })
            }
        }
    }

    fn leave(&mut self, start: usize, word: &'static str, node: Node) -> Result<Node> {
        self.close()?;
        if self.loops == 0 { Err(Fault::new(start, Problem::OutsideRange { word })) } else { Ok(node) }
    }

    fn branch(&mut self, start: usize, opening: Opening) -> Result<Node> {
        let scope = self.variables.len();
        let pipeline = self.pipeline(if opening == Opening::Range { 2 } else { 1 })?;
        let span = start..self.close()?;
        self.loops += usize::from(opening == Opening::Range);
        let (body, stop) = self.nodes()?;
        self.loops -= usize::from(opening == Opening::Range);
        let otherwise = match stop {
            Stop::End(_) => Vec::new(),
            Stop::Else(at) => self.otherwise(&at, start, opening)?,
            Stop::EndOfTemplate => return Err(self.unended(start, opening)),
        };
        self.variables.truncate(scope);
        Ok(opening.node(Branch { span, pipeline, body, otherwise }))
    }

    fn unended(&self, start: usize, opening: Opening) -> Fault<Problem> {
        let position = Position::of(self.source, start);
        Fault::new(self.source.len(), Problem::MissingEnd { opening: opening.keyword(), position })
    }

    /// What follows `else`, up to the `end` that closes both.
    fn otherwise(&mut self, els: &Span, start: usize, opening: Opening) -> Result<Vec<Node>> {
        match self.keyword() {
            Some("if") if opening == Opening::If => {
                self.deeper(|parser| parser.branch(els.start, Opening::If)).map(|node| vec![node])
            }
            Some("with") if opening == Opening::With => {
                self.deeper(|parser| parser.branch(els.start, Opening::With)).map(|node| vec![node])
            }
            Some(word) => Err(unexpected(els.start, &format!("else {word}"), "{{else}} or {{else if …}} after if")),
            None => {
                self.close()?;
                match self.nodes()? {
                    (nodes, Stop::End(_)) => Ok(nodes),
                    (_, Stop::Else(span)) => Err(unexpected(span.start, "{{else}}", "{{end}} after {{else}}")),
                    (_, Stop::EndOfTemplate) => Err(self.unended(start, opening)),
                }
            }
        }
    }

    /// Up to what closes it, which stays unread.
    fn pipeline(&mut self, most_variables: usize) -> Result<Pipeline> {
        let target = self.target(most_variables)?;
        let mut commands = vec![self.command("a field, a variable, a function or a constant")?];
        while self.take(&Token::Bar) {
            let at = self.at();
            let command = self.command("a function after |")?;
            if matches!(command.head.term, Term::Literal(_) | Term::Dot if command.head.fields.is_empty()) {
                return Err(unexpected(at, "a value", "a function after |"));
            }
            commands.push(command);
        }
        for name in target.iter().filter(|target| target.declares).flat_map(|target| &target.names) {
            self.variables.push(name.clone());
        }
        Ok(Pipeline { target, commands })
    }

    /// `$x :=`, `$x =` or, in a range, `$i, $x :=`.
    fn target(&mut self, most: usize) -> Result<Option<Target>> {
        let begin = self.next;
        let mut names = Vec::new();
        while let Some(Token::Variable(name)) = self.peek().map(|lexeme| &lexeme.token) {
            self.next += 1;
            names.push(name.clone());
            if !(names.len() < most && self.take(&Token::Comma)) {
                break;
            }
        }
        let declares = self.take(&Token::Declare);
        if names.is_empty() || !(declares || self.take(&Token::Assign)) {
            self.next = begin;
            return if declares { Err(self.misplaced("a variable before :=")) } else { Ok(None) };
        }
        if !declares {
            names.iter().try_for_each(|name| self.known(name, self.lexemes[begin].span.start))?;
        }
        Ok(Some(Target { names, declares }))
    }

    fn known(&self, name: &str, at: usize) -> Result<()> {
        if self.variables.iter().any(|known| known == name) {
            return Ok(());
        }
        Err(Fault::new(at, Problem::UnknownVariable { name: name.to_owned() }))
    }

    fn command(&mut self, expected: &'static str) -> Result<Command> {
        let head = self.operand(expected)?;
        let mut arguments = Vec::new();
        while let Some(Lexeme { token, span, spaced }) = self.peek() {
            match token {
                Token::Bar | Token::Close | Token::RightParenthesis => break,
                _ if !spaced => {
                    let found = self.source[span.clone()].to_owned();
                    return Err(Fault::new(span.start, Problem::MissingSpace { found }));
                }
                _ => arguments.push(self.operand("an argument, |, ) or }}")?),
            }
        }
        Ok(Command { head, arguments })
    }

    fn operand(&mut self, expected: &'static str) -> Result<Operand> {
        let at = self.at();
        let first = self.peek().map(|lexeme| &lexeme.token);
        let mut fields = Vec::new();
        let term = match first {
            Some(Token::Field(name)) => {
                fields.push(name.clone());
                Term::Dot
            }
            Some(Token::LeftParenthesis) => return self.parenthesised(at),
            Some(token) => self.term(token, at, expected)?,
            None => return Err(self.misplaced(expected)),
        };
        self.next += 1;
        if !matches!(term, Term::Literal(_)) {
            self.fields(&mut fields);
        }
        Ok(Operand { at, term, fields })
    }

    fn parenthesised(&mut self, at: usize) -> Result<Operand> {
        self.next += 1;
        let pipeline = self.deeper(|parser| parser.pipeline(0))?;
        if !self.take(&Token::RightParenthesis) {
            return Err(self.misplaced(") or |"));
        }
        let mut fields = Vec::new();
        self.fields(&mut fields);
        Ok(Operand { at, term: Term::Pipeline(Box::new(pipeline)), fields })
    }

    /// The fields that follow an operand without a space.
    fn fields(&mut self, fields: &mut Vec<String>) {
        while let Some(Lexeme { token: Token::Field(name), spaced: false, .. }) = self.peek() {
            fields.push(name.clone());
            self.next += 1;
        }
    }

    /// What a single token means.
    fn term(&self, token: &Token, at: usize, expected: &'static str) -> Result<Term> {
        match token {
            Token::Dot => Ok(Term::Dot),
            Token::Literal(value) => Ok(Term::Literal(value.clone())),
            Token::Variable(name) => self.known(name, at).map(|()| Term::Variable(name.clone())),
            Token::Word(word) => match word.as_str() {
                "true" | "false" => Ok(Term::Literal(Value::Bool(word == "true"))),
                "nil" => Ok(Term::Literal(Value::Null)),
                _ => function(word, at),
            },
            _ => Err(self.misplaced(expected)),
        }
    }
}

fn function(word: &str, at: usize) -> Result<Term> {
    if UNSUPPORTED.contains(&word) {
        return Err(Fault::new(at, Problem::Unsupported { word: word.to_owned() }));
    }
    functions::named(word)
        .map(Term::Function)
        .ok_or_else(|| Fault::new(at, Problem::UnknownFunction { name: word.to_owned(), known: functions::names() }))
}
