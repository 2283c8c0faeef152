//! The functions that templates call: Go's own and those of docker.

mod collections;
mod text;

use std::cmp::Ordering;

use serde_json::Value;

use crate::compare;
use crate::data::{Data, is_true};
use crate::error::Failure;
use crate::print;
use crate::printf::printf;

type Outcome<'a> = Result<Data<'a>, Failure>;

/// A function by its name in templates.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    least: usize,
    most: usize,
    /// How a table's header treats it: as in docker, what would change, compare or take
    /// apart a value lets its name pass.
    keeps_header: bool,
    work: Work,
}

#[derive(Debug)]
enum Work {
    /// The template's own evaluation of arguments stops at the first that decides: true for `or`, false for `and`.
    Until(bool),
    Call(for<'a> fn(&[Data<'a>]) -> Outcome<'a>),
}

const MANY: usize = usize::MAX;

const fn function(
    name: &'static str,
    least: usize,
    most: usize,
    call: for<'a> fn(&[Data<'a>]) -> Outcome<'a>,
) -> Function {
    Function { name, least, most, keeps_header: false, work: Work::Call(call) }
}

const fn on_values(
    name: &'static str,
    least: usize,
    most: usize,
    call: for<'a> fn(&[Data<'a>]) -> Outcome<'a>,
) -> Function {
    Function { name, least, most, keeps_header: true, work: Work::Call(call) }
}

const fn until(name: &'static str, decisive: bool) -> Function {
    Function { name, least: 1, most: MANY, keeps_header: false, work: Work::Until(decisive) }
}

static FUNCTIONS: [Function; 23] = [
    until("and", false),
    until("or", true),
    function("not", 1, 1, |values| boolean(!is_true(&values[0]))),
    on_values("eq", 2, MANY, eq),
    on_values("ne", 2, 2, |values| boolean(!compare::equal(&values[0], &values[1])?)),
    on_values("lt", 2, 2, |values| ordered(values, Ordering::is_lt)),
    on_values("le", 2, 2, |values| ordered(values, Ordering::is_le)),
    on_values("gt", 2, 2, |values| ordered(values, Ordering::is_gt)),
    on_values("ge", 2, 2, |values| ordered(values, Ordering::is_ge)),
    function("print", 0, MANY, |values| string(print::print(values.iter().map(AsRef::as_ref)))),
    function("println", 0, MANY, |values| string(print::println(values.iter().map(AsRef::as_ref)))),
    function("printf", 1, MANY, formatted),
    on_values("len", 1, 1, collections::len),
    on_values("index", 1, MANY, collections::index),
    on_values("slice", 1, 3, collections::slice),
    on_values("split", 2, 2, collections::split),
    on_values("join", 2, 2, collections::join),
    on_values("json", 1, 1, |values| string(print::json(&values[0]))),
    on_values("lower", 1, 1, |values| text::mapped("lower", &values[0], text::lower)),
    on_values("upper", 1, 1, |values| text::mapped("upper", &values[0], text::upper)),
    on_values("title", 1, 1, |values| text::mapped("title", &values[0], text::title)),
    on_values("truncate", 2, 2, text::truncate),
    function("pad", 3, 3, text::pad),
];

/// The function of that name.
pub(crate) fn named(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

/// All functions, for people.
pub(crate) fn names() -> String {
    FUNCTIONS.iter().map(|function| function.name).collect::<Vec<_>>().join(", ")
}

impl Function {
    /// The truth of an argument that makes it the result, without a look at those after it.
    pub(crate) fn decisive(&self) -> Option<bool> {
        match self.work {
            Work::Until(decisive) => Some(decisive),
            Work::Call(_) => None,
        }
    }

    /// The function's result for those values.
    pub(crate) fn call<'a>(&self, values: &[Data<'a>]) -> Outcome<'a> {
        self.check_count(values.len())?;
        match self.work {
            Work::Call(call) => call(values),
            Work::Until(decisive) => {
                let deciding = values.iter().find(|value| is_true(value) == decisive).or(values.last());
                Ok(deciding.cloned().unwrap_or_default())
            }
        }
    }

    /// The same for a table's header, where values are names of columns.
    pub(crate) fn call_for_header<'a>(&self, values: &[Data<'a>]) -> Outcome<'a> {
        self.check_count(values.len())?;
        match values.first() {
            Some(name) if self.keeps_header => Ok(name.clone()),
            _ => self.call(values),
        }
    }

    fn check_count(&self, given: usize) -> Result<(), Failure> {
        if (self.least..=self.most).contains(&given) {
            return Ok(());
        }
        let expected = match (self.least, self.most) {
            (least, MANY) => format!("{least} arguments or more"),
            (1, 1) => "one argument".to_owned(),
            (least, most) if least == most => format!("{least} arguments"),
            (least, most) => format!("{least} to {most} arguments"),
        };
        Err(Failure::ArgumentCount { function: self.name, expected, given })
    }
}

fn boolean<'a>(truth: bool) -> Outcome<'a> {
    Ok(Data::Owned(Value::Bool(truth)))
}

fn string<'a>(text: String) -> Outcome<'a> {
    Ok(Data::Owned(Value::String(text)))
}

/// Whether the first value equals any of the others.
fn eq<'a>(values: &[Data<'a>]) -> Outcome<'a> {
    for other in &values[1..] {
        if compare::equal(&values[0], other)? {
            return boolean(true);
        }
    }
    boolean(false)
}

fn ordered<'a>(values: &[Data<'a>], fits: fn(Ordering) -> bool) -> Outcome<'a> {
    boolean(fits(compare::order(&values[0], &values[1])?))
}

fn formatted<'a>(values: &[Data<'a>]) -> Outcome<'a> {
    let format = text::argument("printf", "a string as its format", &values[0])?;
    let arguments: Vec<&Value> = values[1..].iter().map(AsRef::as_ref).collect();
    string(printf(format, &arguments))
}
