//! A nested value as indented lines of `key: value`, for people.

use serde_json::Value;

use crate::render::escape::escape;

/// Blanks for each level.
const STEP: usize = 2;

/// The lines of an object or a list; a plain value is one line.
pub(crate) fn outline(value: &Value) -> String {
    let mut text = String::new();
    append(&mut text, value, 0);
    text
}

fn append(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                entry(text, &format!("{}:", escape(key)), value, depth);
            }
        }
        Value::Array(list) => {
            for value in list {
                item(text, value, depth);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            line(text, &plain(value), depth);
        }
    }
}

/// A plain or empty value stands on the line of its key, any other one below it.
fn entry(text: &mut String, key: &str, value: &Value, depth: usize) {
    let nested = match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    };
    if nested {
        line(text, key, depth);
        append(text, value, depth + 1);
    } else {
        line(text, format!("{key} {}", plain(value)).trim_end(), depth);
    }
}

/// The first line of a list's item begins with a hyphen in place of its last indentation.
fn item(text: &mut String, value: &Value, depth: usize) {
    let start = text.len();
    append(text, value, depth + 1);
    let indentation = start + depth * STEP..start + (depth + 1) * STEP;
    if text.get(indentation.clone()) == Some("  ") {
        text.replace_range(indentation, "- ");
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(string) => escape(string).into_owned(),
        Value::Array(_) => "[]".to_owned(),
        Value::Object(_) => "{}".to_owned(),
    }
}

fn line(text: &mut String, words: &str, depth: usize) {
    text.extend(std::iter::repeat_n(' ', depth * STEP));
    text.push_str(words);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use serde_json::json;

    #[test]
    fn levels_are_indented_and_text_is_escaped() {
        let value = json!({
            "host": {"kernel": "6.1\u{1b}", "cpus": 4, "empty": {}, "none": null},
            "runtimes": [{"name": "builtin"}, {"name": "runc"}],
            "words": ["a", "b"],
        });
        expect![[r#"
            host:
              cpus: 4
              empty: {}
              kernel: 6.1\x1b
              none:
            runtimes:
              - name: builtin
              - name: runc
            words:
              - a
              - b
        "#]]
        .assert_eq(&outline(&value));
    }
}
