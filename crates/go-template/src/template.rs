//! A parsed template.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::ast::Node;
use crate::data::nests_within;
use crate::error::Error;
use crate::evaluator;
use crate::fields;
use crate::headers::Headers;
use crate::parser;

/// How deep a value may nest, as JSON's own reader has it.
const DEPTH: usize = 128;

/// A template that was read once, for any number of values.
#[derive(Debug, Clone)]
pub struct Template {
    source: String,
    nodes: Vec<Node>,
}

impl Template {
    /// Reads a template as it stands, like `docker network inspect --format`.
    ///
    /// # Errors
    /// Says where the template is not one, and what was expected there.
    pub fn parse(source: &str) -> Result<Template, Error> {
        let nodes = parser::parse(source).map_err(|fault| Error::syntax(source, fault))?;
        Ok(Template { source: source.to_owned(), nodes })
    }

    /// The fields that it names of the value that it is rendered with, whether or not it comes to print them.
    #[must_use]
    pub fn fields(&self) -> BTreeSet<&str> {
        fields::of_value(&self.nodes)
    }

    /// What the template prints for the value.
    ///
    /// # Errors
    /// Names the action that cannot be carried out with this value. Nothing is printed then.
    pub fn render(&self, value: &Value) -> Result<String, Error> {
        if !nests_within(value, DEPTH) {
            return Err(Error::ValueTooDeep { limit: DEPTH });
        }
        evaluator::render(&self.source, &self.nodes, value)
    }

    /// What the template prints with each field replaced by the name of its column: the one that `names` has for the
    /// field, or its path (`IPAM.Driver`), else the field in upper-case words. Functions that change or compare
    /// values, and `range`, let the names pass.
    ///
    /// # Errors
    /// Names the action that cannot be carried out with names of columns.
    pub fn header(&self, names: &[(&str, &str)]) -> Result<String, Error> {
        evaluator::render_header(&self.source, &self.nodes, Headers { names })
    }
}
