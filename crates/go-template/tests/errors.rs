//! What people read when a template is wrong.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use go_template::{Error, Template};
use serde_json::{Value, json};

fn parse_error(template: &str) -> String {
    Template::parse(template).unwrap_err().to_string()
}

fn render_error(template: &str, value: &Value) -> String {
    Template::parse(template).unwrap().render(value).unwrap_err().to_string()
}

#[test]
fn a_syntax_error_says_where_and_what_was_expected() {
    for (template, message) in [
        ("a\n {{.Name", "template 2:2: this action is not closed, expected }}"),
        ("{{if .A}}\nb", "template 2:2: the template ends inside {{if}} of 1:1, expected {{end}}"),
        ("{{range .A}}{{else}}", "template 1:21: the template ends inside {{range}} of 1:1, expected {{end}}"),
        ("{{end}}", "template 1:1: unexpected {{end}}, expected if, with or range before it"),
        ("{{.A)}}", "template 1:5: unexpected ), expected }}"),
        ("{{(.A}}", "template 1:6: unexpected }}, expected ) or |"),
        ("{{if}}{{end}}", "template 1:5: unexpected }}, expected a field, a variable, a function or a constant"),
        ("ä{{.A\"b\"}}", "template 1:6: expected a space, |, ) or }} before \"b\""),
        ("{{$x}}", "template 1:3: no variable $x; declare it with {{ $x := … }}"),
        ("{{/* a", "template 1:1: this comment is not closed, expected */}}"),
        ("{{break}}", "template 1:1: break stands outside range"),
        ("{{template \"a\"}}", "template 1:3: \"template\" is not supported here"),
        ("{{.A;}}", "template 1:5: unexpected ';', expected a field, a variable, a function or a constant"),
    ] {
        assert_eq!(parse_error(template), message);
    }
}

#[test]
fn an_unknown_function_is_answered_with_those_there_are() {
    assert!(
        parse_error("{{.A | uper}}").starts_with("template 1:8: no function \"uper\"; the functions are and, or, ")
    );
}

#[test]
fn a_field_that_a_structure_lacks_is_answered_with_those_there_are() {
    let network = json!({"Name": "front", "Driver": "bridge", "IPAM": {"Config": [{"Subnet": "10.0.0.0/24"}]}});
    for (template, message) in [
        ("{{.driver}}", r#"no field "driver", did you mean "Driver"; the fields are Name, Driver, IPAM"#),
        ("{{.Volumes}}", r#"no field "Volumes"; the fields are Name, Driver, IPAM"#),
        (
            "{{range .IPAM.Config}}{{.Subnets}}{{end}}",
            r#"no field "Subnets", did you mean "Subnet"; the fields are Subnet"#,
        ),
    ] {
        let error = render_error(template, &network);
        assert!(error.ends_with(message), "{error}");
    }
}

#[test]
fn an_entry_that_a_map_lacks_is_no_value() {
    let labels = json!({"Labels": {"b.c": "1", "Up": "2"}, "Options": {}, "Unset": null});
    let template = Template::parse("{{.Labels.Down}} {{.Options.X}} {{.Unset.X}} {{index .Options `x`}}|").unwrap();
    assert_eq!(template.render(&labels).unwrap(), "<no value> <no value> <no value> |");
}

#[test]
fn a_field_with_arguments_is_an_index() {
    let value = json!({"Label": {"a.b": "1"}, "Name": "x"});
    let template = Template::parse(r#"{{.Label "a.b"}}{{"a.b" | .Label}}[{{.Label "c"}}]"#).unwrap();
    assert_eq!(template.render(&value).unwrap(), "11[]");
    assert!(render_error(r#"{{.Name "x"}}"#, &value).ends_with("a string takes no arguments"));
}

#[test]
fn a_failure_names_its_action() {
    let value = json!({"N": 5, "S": "é"});
    for (template, message) in [
        ("a {{ .N | upper }}", "template 1:11, in {{ .N | upper }}: upper takes a string, got an integer"),
        ("{{if lt .N .S}}{{end}}", "template 1:6, in {{if lt .N .S}}: cannot compare an integer with a string"),
        ("{{range .N}}{{end}}", "template 1:9, in {{range .N}}: cannot range over an integer"),
        ("{{index .S 7}}", "template 1:3, in {{index .S 7}}: index takes a number from 0 to 1, got 7"),
        ("{{index `` 0}}", "template 1:3, in {{index `` 0}}: index asks for an element of what is empty"),
        ("{{slice .S 1}}", "template 1:3, in {{slice .S 1}}: bytes 1 to 2 cut a character"),
        ("{{lower}}", "template 1:3, in {{lower}}: lower takes one argument, got 0"),
        ("{{.N.X}}", "template 1:3, in {{.N.X}}: an integer has no fields, so no \"X\""),
    ] {
        assert_eq!(render_error(template, &value), message);
    }
}

#[test]
fn integers_and_floats_compare() {
    let template = Template::parse("{{eq 0.0 .N}} {{lt .N 0.5}}").unwrap();
    assert_eq!(template.render(&json!({"N": 0})).unwrap(), "true true");
}

#[test]
fn what_nests_too_deep_is_refused() {
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
    for template in [
        deep("{{if 1}}", "{{end}}"),
        format!("{{{{{}}}}}", deep("(", ")")),
        format!("{{{{if 0}}}}{}{{{{end}}}}", "{{else if 0}}".repeat(100_000)),
        deep("{{range 1}}{{else}}", "{{end}}"),
    ] {
        assert!(parse_error(&template).ends_with("actions nest more than 100 levels deep"));
    }
}

#[test]
fn a_value_that_nests_too_deep_is_refused() {
    let nested = |levels| (0..levels).fold(Value::Null, |inner, _| json!([inner]));
    let template = Template::parse("{{.}}{{json .}}{{printf `%d` .}}").unwrap();
    assert!(template.render(&nested(128)).is_ok());
    assert_eq!(template.render(&nested(129)), Err(Error::ValueTooDeep { limit: 128 }));
}

#[test]
fn output_and_work_are_bounded() {
    let list = Value::from(vec![1; 1000]);
    let doubling = "{{$x := `ab`}}{{range .}}{{$x = print $x $x}}{{end}}";
    assert!(render_error(doubling, &list).ends_with("this makes more than 16777216 bytes"));
    let printing = "{{range .}}{{range $}}{{printf `%9999d` .}}{{end}}{{end}}";
    assert!(render_error(printing, &list).ends_with("this makes more than 16777216 bytes"));
    let looping = "{{range .}}{{range $}}{{range $}}{{end}}{{end}}{{end}}";
    assert!(render_error(looping, &list).ends_with("this takes more than 1000000 steps"));
}
