//! Walks a template's tree with a value.

use std::borrow::Cow;

use serde_json::Value;

use crate::ast::{Branch, Command, Node, Operand, Pipeline, Span, Target, Term};
use crate::data::{Data, elements, field, is_true, kind};
use crate::error::{Error, Failure, Fault};
use crate::functions::{self, Function};
use crate::headers::Headers;
use crate::print;

/// The most bytes that a template may print, and that a string may have on the way.
const LARGEST: usize = 16 << 20;

/// The most actions and commands that are carried out.
const MOST_STEPS: usize = 1_000_000;

type Result<T> = std::result::Result<T, Fault<Failure>>;

/// What the template prints for the value.
pub(crate) fn render(source: &str, nodes: &[Node], value: &Value) -> std::result::Result<String, Error> {
    Evaluator::new(source, Cow::Borrowed(value), None).finish(nodes)
}

/// What the template prints for the names of fields.
pub(crate) fn render_header(source: &str, nodes: &[Node], headers: Headers<'_>) -> std::result::Result<String, Error> {
    Evaluator::new(source, Cow::Owned(Value::from("")), Some(headers)).finish(nodes)
}

struct Evaluator<'a> {
    source: &'a str,
    /// The innermost last; the first is `$`.
    variables: Vec<(&'a str, Data<'a>)>,
    /// In a table's header, fields are the names of columns.
    headers: Option<Headers<'a>>,
    output: String,
    steps: usize,
}

/// How a list of nodes ended.
#[derive(PartialEq)]
enum Flow {
    On,
    Break,
    Continue,
}

impl<'a> Evaluator<'a> {
    fn new(source: &'a str, root: Data<'a>, headers: Option<Headers<'a>>) -> Evaluator<'a> {
        Evaluator { source, variables: vec![("$", root)], headers, output: String::new(), steps: 0 }
    }

    fn finish(mut self, nodes: &'a [Node]) -> std::result::Result<String, Error> {
        let root = self.variables[0].1.clone();
        self.nodes(nodes, &root)?;
        Ok(self.output)
    }

    fn nodes(&mut self, nodes: &'a [Node], dot: &Data<'a>) -> std::result::Result<Flow, Error> {
        for node in nodes {
            match self.node(node, dot)? {
                Flow::On => {}
                flow => return Ok(flow),
            }
        }
        Ok(Flow::On)
    }

    fn node(&mut self, node: &'a Node, dot: &Data<'a>) -> std::result::Result<Flow, Error> {
        match node {
            Node::Text(text) => self.output.push_str(text),
            Node::Action { span, pipeline } => self.action(pipeline, dot).map_err(|fault| self.error(span, fault))?,
            Node::If(branch) => return self.scoped(|this| this.conditional(branch, dot, false)),
            Node::With(branch) => return self.scoped(|this| this.conditional(branch, dot, true)),
            Node::Range(branch) => return self.scoped(|this| this.range(branch, dot)),
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    fn error(&self, action: &Span, fault: Fault<Failure>) -> Error {
        Error::execution(self.source, action, fault)
    }

    /// Forgets the variables that were declared inside.
    fn scoped<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let scope = self.variables.len();
        let done = work(self);
        self.variables.truncate(scope);
        done
    }

    fn action(&mut self, pipeline: &'a Pipeline, dot: &Data<'a>) -> Result<()> {
        let value = self.assigned(pipeline, dot)?;
        if pipeline.target.is_none() {
            self.output.push_str(&print::action(&value));
        }
        check_size(self.output.len(), pipeline.at())
    }

    fn conditional(&mut self, branch: &'a Branch, dot: &Data<'a>, sets_dot: bool) -> std::result::Result<Flow, Error> {
        let value = self.assigned(&branch.pipeline, dot).map_err(|fault| self.error(&branch.span, fault))?;
        match is_true(&value) {
            true if sets_dot => self.nodes(&branch.body, &value),
            true => self.nodes(&branch.body, dot),
            false => self.nodes(&branch.otherwise, dot),
        }
    }

    fn range(&mut self, branch: &'a Branch, dot: &Data<'a>) -> std::result::Result<Flow, Error> {
        let elements = self.elements(&branch.pipeline, dot).map_err(|fault| self.error(&branch.span, fault))?;
        if elements.is_empty() {
            return self.nodes(&branch.otherwise, dot);
        }
        for (key, element) in elements {
            self.step(branch.pipeline.at()).map_err(|fault| self.error(&branch.span, fault))?;
            let flow = self.scoped(|this| {
                this.take_turn(branch.pipeline.target.as_ref(), key, &element);
                this.nodes(&branch.body, &element)
            })?;
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::On)
    }

    fn elements(&mut self, pipeline: &'a Pipeline, dot: &Data<'a>) -> Result<Vec<(Data<'a>, Data<'a>)>> {
        let value = self.pipeline(pipeline, dot)?;
        if self.headers.is_some() {
            return Ok(vec![(value.clone(), value)]);
        }
        elements(value).map_err(|failure| Fault::new(pipeline.at(), failure))
    }

    /// The variables of a turn: the element, or the key and the element.
    fn take_turn(&mut self, target: Option<&'a Target>, key: Data<'a>, element: &Data<'a>) {
        let Some(target) = target else { return };
        match target.names.as_slice() {
            [name] => self.set(name, target.declares, element.clone()),
            [first, second, ..] => {
                self.set(first, target.declares, key);
                self.set(second, target.declares, element.clone());
            }
            [] => {}
        }
    }

    fn set(&mut self, name: &'a str, declares: bool, value: Data<'a>) {
        match self.variables.iter_mut().rfind(|variable| variable.0 == name) {
            Some(variable) if !declares => variable.1 = value,
            _ => self.variables.push((name, value)),
        }
    }

    /// The pipeline's result, after its variable has it.
    fn assigned(&mut self, pipeline: &'a Pipeline, dot: &Data<'a>) -> Result<Data<'a>> {
        let value = self.pipeline(pipeline, dot)?;
        if let Some(target) = &pipeline.target {
            for name in &target.names {
                self.set(name, target.declares, value.clone());
            }
        }
        Ok(value)
    }

    fn pipeline(&mut self, pipeline: &'a Pipeline, dot: &Data<'a>) -> Result<Data<'a>> {
        let mut piped = None;
        for command in &pipeline.commands {
            self.step(command.head.at)?;
            let value = self.command(command, dot, piped)?;
            check_size(value.as_str().map_or(0, str::len), command.head.at)?;
            piped = Some(value);
        }
        Ok(piped.unwrap_or_default())
    }

    fn step(&mut self, at: usize) -> Result<()> {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return Err(Fault::new(at, Failure::TooManySteps { limit: MOST_STEPS }));
        }
        Ok(())
    }

    fn command(&mut self, command: &'a Command, dot: &Data<'a>, piped: Option<Data<'a>>) -> Result<Data<'a>> {
        let Command { head, arguments } = command;
        if let Term::Function(function) = head.term {
            let value = self.call(function, head.at, arguments, dot, piped)?;
            return self.fields(value, head);
        }
        let value = self.operand(head, dot)?;
        if arguments.is_empty() && piped.is_none() {
            let nil = matches!(&head.term, Term::Literal(Value::Null));
            return if nil { Err(Fault::new(head.at, Failure::NilCommand)) } else { Ok(value) };
        }
        let key = self.values(arguments, dot)?.into_iter().chain(piped);
        self.keyed(value, head, key.collect())
    }

    /// A field with arguments is an index into it: docker's `.Label "key"`.
    fn keyed(&self, value: Data<'a>, head: &Operand, keys: Vec<Data<'a>>) -> Result<Data<'a>> {
        let failed = |failure| Fault::new(head.at, failure);
        if head.fields.is_empty() || !(value.is_object() || self.headers.is_some()) {
            return Err(failed(Failure::NotAFunction { kind: kind(&value) }));
        }
        match (&self.headers, functions::named("index")) {
            (None, Some(index)) => {
                let values: Vec<_> = std::iter::once(value).chain(keys).collect();
                index.call(&values).map_err(failed)
            }
            _ => Ok(value),
        }
    }

    fn call(
        &mut self,
        function: &Function,
        at: usize,
        arguments: &'a [Operand],
        dot: &Data<'a>,
        piped: Option<Data<'a>>,
    ) -> Result<Data<'a>> {
        let mut values = Vec::with_capacity(arguments.len() + 1);
        for argument in arguments {
            let value = self.operand(argument, dot)?;
            if function.decisive() == Some(is_true(&value)) {
                return Ok(value);
            }
            values.push(value);
        }
        values.extend(piped);
        let called = if self.headers.is_some() { function.call_for_header(&values) } else { function.call(&values) };
        called.map_err(|failure| Fault::new(at, failure))
    }

    fn values(&mut self, operands: &'a [Operand], dot: &Data<'a>) -> Result<Vec<Data<'a>>> {
        operands.iter().map(|operand| self.operand(operand, dot)).collect()
    }

    fn operand(&mut self, operand: &'a Operand, dot: &Data<'a>) -> Result<Data<'a>> {
        let value = match &operand.term {
            Term::Dot => dot.clone(),
            Term::Variable(name) => self.variable(name),
            Term::Literal(value) => Cow::Borrowed(value),
            Term::Function(function) => self.call(function, operand.at, &[], dot, None)?,
            Term::Pipeline(pipeline) => self.pipeline(pipeline, dot)?,
        };
        self.fields(value, operand)
    }

    /// The parser lets only declared variables pass.
    fn variable(&self, name: &str) -> Data<'a> {
        self.variables
            .iter()
            .rfind(|variable| variable.0 == name)
            .map(|variable| variable.1.clone())
            .unwrap_or_default()
    }

    fn fields(&self, value: Data<'a>, operand: &Operand) -> Result<Data<'a>> {
        match &self.headers {
            Some(headers) if !operand.fields.is_empty() => Ok(Cow::Owned(Value::from(headers.of(&operand.fields)))),
            _ => {
                let found = operand.fields.iter().try_fold(value, |value, name| field(&value, name));
                found.map_err(|failure| Fault::new(operand.at, failure))
            }
        }
    }
}

fn check_size(length: usize, at: usize) -> Result<()> {
    if length > LARGEST { Err(Fault::new(at, Failure::TooLarge { limit: LARGEST })) } else { Ok(()) }
}
