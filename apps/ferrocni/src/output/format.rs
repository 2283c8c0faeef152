//! `--format`: the table for people, JSON for programs, or a template.

use go_template::Format;
use serde_json::Value;

use crate::failure::Failure;
use crate::output::print;

/// How a list of objects is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct List {
    /// The columns of the table: fields with their headings.
    pub(crate) columns: &'static [(&'static str, &'static str)],
    /// The one that stands for an object where nothing else is wanted (`-q`).
    pub(crate) key: &'static str,
}

/// The options of commands that list something.
#[derive(Debug, clap::Args)]
pub(crate) struct Listing {
    /// Show only what has this property, see above (may be repeated: one of the values of a key, and all of the keys)
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub(crate) filter: Vec<String>,
    /// table, json, or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Cut nothing short
    #[arg(long)]
    pub(crate) no_trunc: bool,
    /// Show ids only
    #[arg(short, long)]
    quiet: bool,
}

impl Listing {
    pub(crate) fn form(&self) -> Form {
        Form::new(self.format.as_deref(), self.quiet)
    }
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Form {
    Table,
    Keys,
    /// An object a line.
    Json,
    Template(String),
}

impl Form {
    pub(crate) fn new(format: Option<&str>, quiet: bool) -> Self {
        match format {
            None | Some("table") if quiet => Self::Keys,
            None | Some("" | "table") => Self::Table,
            Some("json") => Self::Json,
            Some(template) => Self::Template(template.to_owned()),
        }
    }
}

impl List {
    /// Whether a field of the objects is seen; a template may ask for any.
    pub(crate) fn shows(&self, form: &Form, field: &str) -> bool {
        match form {
            Form::Table => self.columns.iter().any(|(shown, _)| *shown == field),
            Form::Keys => self.key == field,
            Form::Json | Form::Template(_) => true,
        }
    }

    /// Writes objects whose values are texts, numbers and the like.
    pub(crate) fn print(&self, form: &Form, objects: &[Value]) -> Result<(), Failure> {
        match form {
            Form::Table => print(self.table(objects)),
            Form::Keys => print(lines(objects.iter().map(|object| cell(object, self.key)))),
            Form::Json => print(lines(objects.iter().map(Value::to_string))),
            Form::Template(template) => {
                print(Format::parse(template)?.render(objects, self.columns).map_err(Failure::from)?)
            }
        }
    }

    fn table(&self, objects: &[Value]) -> String {
        let head = self.columns.iter().map(|(_, heading)| (*heading).to_owned()).collect();
        let rows = objects.iter().map(|object| self.columns.iter().map(|(field, _)| cell(object, field)).collect());
        go_template::columns(std::iter::once(head).chain(rows).collect::<Vec<Vec<String>>>())
    }
}

fn cell(object: &Value, field: &str) -> String {
    match object.get(field) {
        None => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.map(|line| line + "\n").collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_format_is_a_table_json_or_a_template() {
        assert_eq!(Form::new(None, false), Form::Table);
        assert_eq!(Form::new(None, true), Form::Keys);
        assert_eq!(Form::new(Some("json"), true), Form::Json);
        assert_eq!(Form::new(Some("{{.ID}}"), false), Form::Template("{{.ID}}".to_owned()));
    }

    #[test]
    fn what_is_not_seen_need_not_be_known() {
        let list = List { columns: &[("ID", "NETWORK ID"), ("Name", "NAME")], key: "ID" };
        let shown = |form: Form| ["ID", "Name", "Driver"].map(|field| list.shows(&form, field));
        assert_eq!(shown(Form::Table), [true, true, false]);
        assert_eq!(shown(Form::Keys), [true, false, false]);
        assert_eq!(shown(Form::Json), [true; 3]);
        assert_eq!(shown(Form::Template(String::new())), [true; 3]);
    }

    #[test]
    fn a_table_has_headings_and_a_gap_of_three() {
        let list = List { columns: &[("ID", "NETWORK ID"), ("Name", "NAME")], key: "ID" };
        assert_eq!(list.table(&[json!({"ID": "1", "Name": "web"})]), "NETWORK ID   NAME\n1            web\n");
    }
}
