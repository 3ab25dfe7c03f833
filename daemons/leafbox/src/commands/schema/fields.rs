//! `leafbox schema show --fields`: what can be filled in.

use anyhow::Result;
use schemas::{Bounds, Field, Form, Input, Schema};
use serde_json::Value;

use crate::{say, table::Table};

pub(super) fn run(schema: Schema, as_json: bool) -> Result<()> {
    let form = Form::of(&schema.rules()?);
    if as_json {
        say!("{}", serde_json::to_string_pretty(&form)?);
        return Ok(());
    }
    let mut table = Table::new(&["FIELD", "REQUIRED", "DEFAULT", "WHAT"]);
    for field in form.fields() {
        table.row([
            field.path.clone(),
            if field.required { "yes" } else { "" }.to_owned(),
            field.default.as_ref().map(|default| field.show(default)).unwrap_or_default(),
            what(field),
        ]);
    }
    if table.is_empty() {
        say!("{} has no fields: write {{}}", schema.title());
    } else {
        say!("{}", table.to_string().trim_end());
    }
    Ok(())
}

fn what(field: &Field) -> String {
    let mut what = input(&field.input);
    if let Some(condition) = &field.only_when {
        what.push_str(&format!(", only when {} is {}", condition.path, choices(&condition.any_of)));
    }
    if field.nullable {
        what.push_str(", or null");
    }
    if field.deprecated.is_some() {
        what.push_str(", deprecated");
    }
    what
}

fn input(input: &Input) -> String {
    match input {
        Input::Group => "object".to_owned(),
        Input::Rows => "list of objects".to_owned(),
        Input::Text { .. } => "text".to_owned(),
        Input::Choice { options } => choices(options),
        Input::Integer(bounds) => format!("integer{}", range(bounds)),
        Input::Number(bounds) => format!("number{}", range(bounds)),
        Input::Bytes(_) => "bytes".to_owned(),
        Input::Duration(_) => "nanoseconds".to_owned(),
        Input::Switch => "true or false".to_owned(),
        Input::Time => "time".to_owned(),
        Input::List { of } => format!("list of {}", self::input(of)),
        Input::Map { of } => format!("names with {}", self::input(of)),
        _ => "JSON".to_owned(),
    }
}

fn choices(values: &[Value]) -> String {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let words: Vec<String> = values.iter().map(plain).filter(|word| !word.is_empty()).collect();
    words.join(" | ")
}

/// The ends of 64 bits say nothing that `integer` does not.
fn range(bounds: &Bounds) -> String {
    let small =
        |bound: &&serde_json::Number| bound.as_i64().is_some_and(|bound| bound.unsigned_abs() < 1 << 53);
    let least = bounds.minimum.as_ref().filter(small).map(|least| format!(" from {least}"));
    let most = bounds.maximum.as_ref().filter(small).map(|most| format!(" to {most}"));
    [least, most].into_iter().flatten().collect()
}
