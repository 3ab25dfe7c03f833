//! The plan as text: one line an item, its fields below it, a summary at the end.

use std::fmt;

use serde_json::Value;

use crate::{
    diff::FieldChange,
    plan::{Action, Item, ItemKind, Plan},
};

impl fmt::Display for ItemKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Stream => "stream",
            Self::Kv => "kv",
            Self::Object => "object",
            Self::Consumer => "consumer",
        })
    }
}

impl fmt::Display for Item {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, kind, name, stream, .. } = self;
        let name = match kind {
            ItemKind::Consumer => format!("{stream}/{name}"),
            _ => name.clone(),
        };
        write!(formatter, "{} {account} {kind} {name}{}", self.action.sign(), self.action.remark())?;
        for change in self.action.fields() {
            write!(formatter, "\n      {change}")?;
        }
        if let Action::Refused { refusal, .. } = &self.action {
            for line in &refusal.by_hand {
                write!(formatter, "\n      $ {line}")?;
            }
        }
        Ok(())
    }
}

impl Action {
    fn sign(&self) -> char {
        match self {
            Self::Add => '+',
            Self::Change { .. } | Self::Drift { .. } | Self::Adopt { .. } => '~',
            Self::Refused { .. } => '!',
            Self::Leftover { .. } => '-',
            Self::Unmanaged { .. } => '?',
        }
    }

    fn remark(&self) -> String {
        match self {
            Self::Add | Self::Change { .. } => String::new(),
            Self::Drift { .. } => "  (changed by hand)".into(),
            Self::Adopt { .. } => "  (exists, would be adopted)".into(),
            Self::Refused { refusal, .. } => format!("  refused: {}", refusal.reason),
            Self::Leftover { messages: 0 } => "  no longer declared, empty: `--prune` removes it".into(),
            Self::Leftover { messages } => {
                format!("  no longer declared, holds {messages} messages: `--prune --delete NAME` removes it")
            }
            Self::Unmanaged { messages } => format!("  not leafbox's, {messages} messages: left alone"),
        }
    }

    /// The fields that differ.
    pub fn fields(&self) -> &[FieldChange] {
        match self {
            Self::Change { fields }
            | Self::Drift { fields }
            | Self::Adopt { fields }
            | Self::Refused { fields, .. } => fields,
            Self::Add | Self::Leftover { .. } | Self::Unmanaged { .. } => &[],
        }
    }
}

impl fmt::Display for FieldChange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {} -> {}", self.field, short(&self.from), short(&self.to))
    }
}

fn short(value: &Value) -> String {
    match value {
        Value::Null => "none".into(),
        other => other.to_string(),
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for item in &self.items {
            writeln!(formatter, "{item}")?;
        }
        for failure in &self.failures {
            writeln!(formatter, "! {}  cannot be looked at: {}", failure.account, failure.error)?;
        }
        for note in &self.notes {
            writeln!(formatter, "note: {note}")?;
        }
        let count =
            |matches: fn(&Action) -> bool| self.items.iter().filter(|item| matches(&item.action)).count();
        let counts = [
            (count(|action| matches!(action, Action::Add)), "to add"),
            (count(|action| matches!(action, Action::Change { .. })), "to change"),
            (count(|action| matches!(action, Action::Drift { .. })), "changed by hand"),
            (count(|action| matches!(action, Action::Adopt { .. })), "to adopt"),
            (count(|action| matches!(action, Action::Refused { .. })) + self.failures.len(), "refused"),
            (count(|action| matches!(action, Action::Leftover { .. })), "no longer declared"),
            (count(|action| matches!(action, Action::Unmanaged { .. })), "unmanaged"),
        ];
        let said: Vec<String> = counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if self.is_empty() {
            write!(formatter, "stores: nothing differs")?;
            return if said.is_empty() { Ok(()) } else { write!(formatter, " ({})", said.join(", ")) };
        }
        write!(formatter, "stores: {}", said.join(", "))
    }
}
