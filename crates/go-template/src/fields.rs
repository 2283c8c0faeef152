//! Which fields a template names, before there is a value.

use std::collections::BTreeSet;

use crate::ast::{Branch, Node, Operand, Pipeline, Term};

/// Those of the value as a whole. Within `with` and `range` the dot is something else, and only `$` is the value.
pub(crate) fn of_value(nodes: &[Node]) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    in_nodes(nodes, true, &mut found);
    found
}

fn in_nodes<'t>(nodes: &'t [Node], dot_is_value: bool, found: &mut BTreeSet<&'t str>) {
    for node in nodes {
        match node {
            Node::Text(_) | Node::Break | Node::Continue => {}
            Node::Action { pipeline, .. } => in_pipeline(pipeline, dot_is_value, found),
            Node::If(branch) => in_branch(branch, dot_is_value, dot_is_value, found),
            Node::With(branch) | Node::Range(branch) => in_branch(branch, dot_is_value, false, found),
        }
    }
}

fn in_branch<'t>(branch: &'t Branch, outside: bool, inside: bool, found: &mut BTreeSet<&'t str>) {
    in_pipeline(&branch.pipeline, outside, found);
    in_nodes(&branch.body, inside, found);
    in_nodes(&branch.otherwise, outside, found);
}

fn in_pipeline<'t>(pipeline: &'t Pipeline, dot_is_value: bool, found: &mut BTreeSet<&'t str>) {
    for command in &pipeline.commands {
        for operand in std::iter::once(&command.head).chain(&command.arguments) {
            in_operand(operand, dot_is_value, found);
        }
    }
}

fn in_operand<'t>(operand: &'t Operand, dot_is_value: bool, found: &mut BTreeSet<&'t str>) {
    let is_value = match &operand.term {
        Term::Dot => dot_is_value,
        Term::Variable(name) => name == "$",
        Term::Pipeline(pipeline) => {
            in_pipeline(pipeline, dot_is_value, found);
            false
        }
        Term::Function(_) | Term::Literal(_) => false,
    };
    if is_value {
        found.extend(operand.fields.first().map(String::as_str));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::Template;

    #[test]
    fn fields_are_found_wherever_the_value_is_meant() {
        for (template, fields) in [
            ("x", &[][..]),
            ("{{.A}} {{.B.C}} {{.A}}", &["A", "B"]),
            ("{{if .A}}{{.B}}{{else}}{{.C}}{{end}}", &["A", "B", "C"]),
            ("{{range .A}}{{.B}}{{$.C}}{{else}}{{.D}}{{end}}", &["A", "C", "D"]),
            ("{{with $x := .A}}{{.B}}{{$x.C}}{{end}}", &["A"]),
            ("{{printf \"%s\" (len .A) | println .B}}{{json .}}", &["A", "B"]),
        ] {
            let template = Template::parse(template).unwrap();
            assert_eq!(template.fields().into_iter().collect::<Vec<_>>(), fields, "{template:?}");
        }
    }
}
