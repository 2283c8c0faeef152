//! The argument of `--format` where a command lists things.

use serde_json::Value;

use crate::columns::align;
use crate::error::Error;
use crate::template::Template;

/// A template for each of several values, as a table if it begins with `table`.
#[derive(Debug, Clone)]
pub struct Format {
    template: Template,
    table: bool,
}

impl Format {
    /// Reads the argument as docker does: spaces around it are dropped, and outside actions `\t` and `\n` are a tab
    /// and a newline. Positions in errors count in what is left.
    ///
    /// # Errors
    /// The template is not one.
    pub fn parse(format: &str) -> Result<Format, Error> {
        let template = format.strip_prefix("table");
        let source = unescaped(template.unwrap_or(format).trim_matches(' '));
        Ok(Format { template: Template::parse(&source)?, table: template.is_some() })
    }

    /// Whether it makes a table with a header.
    pub fn is_table(&self) -> bool {
        self.table
    }

    /// A line for each value. A table has a header above, for which fields are replaced by their names among the
    /// `headers`, or else by their own in upper-case words.
    ///
    /// # Errors
    /// The first action that fails.
    pub fn render<'v>(
        &self,
        values: impl IntoIterator<Item = &'v Value>,
        headers: &[(&str, &str)],
    ) -> Result<String, Error> {
        let mut text = String::new();
        if self.table {
            text = self.template.header(headers)? + "\n";
        }
        for value in values {
            text.push_str(&self.template.render(value)?);
            text.push('\n');
        }
        Ok(if self.table { align(&text) } else { text })
    }
}

/// With tabs and newlines outside actions.
fn unescaped(format: &str) -> String {
    let mut text = String::new();
    for (at, piece) in format.split("{{").enumerate() {
        let (action, outside) = match piece.split_once("}}") {
            Some((action, outside)) if at > 0 => (format!("{{{{{action}}}}}"), outside),
            _ if at > 0 => (format!("{{{{{piece}"), ""),
            _ => (String::new(), piece),
        };
        text.push_str(&action);
        text.push_str(&outside.replace("\\t", "\t").replace("\\n", "\n"));
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn networks() -> [Value; 2] {
        [
            json!({"ID": "8c41f20a", "Name": "front", "Labels": {"a.b": "1"}, "Subnets": ["10.0.0.0/24"]}),
            json!({"ID": "1d", "Name": "a-network-with-a-name", "Labels": {}, "Subnets": []}),
        ]
    }

    #[test]
    fn a_table_has_a_header_and_aligned_columns() {
        let format = Format::parse(r#"table {{.ID}}\t{{.Name | upper}}\t{{join .Subnets "\n"}}"#).unwrap();
        let text = format.render(&networks(), &[("ID", "NETWORK ID")]).unwrap();
        assert!(format.is_table());
        assert_eq!(
            text,
            "NETWORK ID   NAME                    SUBNETS\n8c41f20a     FRONT                   10.0.0.0/24\n\
             1d           A-NETWORK-WITH-A-NAME   \n"
        );
    }

    #[test]
    fn a_header_names_what_functions_and_ranges_reach() {
        let format = r#"{{range .Containers}}{{.IPv4Address}}{{end}} {{index .Labels "a"}} {{with .Driver}}{{.}}{{end}}{{if lt .MTU 9}}!{{end}}"#;
        let template = Template::parse(format).unwrap();
        assert_eq!(template.header(&[]).unwrap(), "IPV4 ADDRESS LABELS DRIVER!");
    }

    #[test]
    fn without_table_there_is_a_line_for_each_value() {
        let format = Format::parse(r#"{{.ID}}\t{{index .Labels "a.b"}}"#).unwrap();
        assert_eq!(format.render(&networks(), &[]).unwrap(), "8c41f20a\t1\n1d\t\n");
    }

    #[test]
    fn an_unclosed_action_stays_unclosed() {
        assert!(Format::parse(r"{{.ID}}\t{{.Name").unwrap_err().to_string().contains("not closed"));
    }
}
