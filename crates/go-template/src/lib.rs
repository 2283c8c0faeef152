#![doc = include_str!("../README.md")]

mod ast;
mod columns;
mod compare;
mod data;
mod error;
mod evaluator;
mod fields;
mod format;
mod functions;
mod headers;
mod lexer;
mod literal;
mod parser;
mod position;
mod print;
mod printf;
mod template;

pub use columns::{align, columns};
pub use error::{Error, Failure, Problem};
pub use format::Format;
pub use position::Position;
pub use template::Template;
