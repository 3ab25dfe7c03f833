//! A serde deserializer over a borrowed TOML tree, whose errors keep their parts: where, what
//! was found, what was expected.
//!
//! `toml`'s own consumes the tree and gives messages; all mistakes of a file can only be reported
//! at once when the tree survives an error and the error can be taken apart.

use std::{borrow::Cow, fmt};

use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    Visitor, value::StrDeserializer,
};
use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue},
};

use crate::path::Step;

/// Why a value could not be read.
#[derive(Clone, Debug)]
pub(crate) enum Mistake {
    /// The last step of the path is no key of its table.
    UnknownKey { allowed: &'static [&'static str] },
    /// The table at the path lacks this key.
    MissingKey(&'static str),
    /// The value has the wrong type or is out of range.
    WrongType { found: String, expected: String },
    /// The value is none of these words.
    UnknownWord { found: String, allowed: &'static [&'static str] },
    /// Refused by the type itself, which says why and what to do.
    Refused(String),
}

/// A [`Mistake`] and the steps that lead to it, the innermost first.
#[derive(Debug)]
pub(crate) struct DecodeError {
    pub(crate) steps: Vec<Step>,
    pub(crate) mistake: Mistake,
}

impl DecodeError {
    fn at(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

impl From<Mistake> for DecodeError {
    fn from(mistake: Mistake) -> Self {
        Self { steps: Vec::new(), mistake }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.mistake)
    }
}

impl std::error::Error for DecodeError {}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Mistake::Refused(message.to_string()).into()
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Mistake::WrongType { found: kind(found).to_owned(), expected: expected.to_string() }.into()
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_variant(found: &str, allowed: &'static [&'static str]) -> Self {
        Mistake::UnknownWord { found: format!("`{found}`"), allowed }.into()
    }

    fn unknown_field(_: &str, allowed: &'static [&'static str]) -> Self {
        Mistake::UnknownKey { allowed }.into()
    }

    fn missing_field(field: &'static str) -> Self {
        Mistake::MissingKey(field).into()
    }
}

/// The span of a value that a mistake was found in: it is passed over from then on, in place, so
/// that array indices stay true.
const REMOVED: usize = usize::MAX;

pub(crate) fn removed<'i>() -> Spanned<DeValue<'i>> {
    Spanned::new(REMOVED..REMOVED, DeValue::Boolean(false))
}

pub(crate) fn is_removed(value: &Spanned<DeValue<'_>>) -> bool {
    value.span().start == REMOVED
}

/// Deserializes one value of the tree.
pub(crate) struct ValueDeserializer<'t, 'i>(pub(crate) &'t Spanned<DeValue<'i>>);

fn unexpected<'v>(value: &'v DeValue<'_>) -> Unexpected<'v> {
    match value {
        DeValue::String(text) => Unexpected::Str(text),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Unexpected::Other("a number too large"), Unexpected::Signed),
        DeValue::Float(number) => {
            number.as_str().parse().map_or(Unexpected::Other("a fraction"), Unexpected::Float)
        }
        DeValue::Boolean(yes) => Unexpected::Bool(*yes),
        DeValue::Datetime(_) => Unexpected::Other("a date or time"),
        DeValue::Array(_) => Unexpected::Seq,
        DeValue::Table(_) => Unexpected::Map,
    }
}

/// The kind of a value, in words; the value itself is shown beside the path.
fn kind(value: Unexpected<'_>) -> &'static str {
    match value {
        Unexpected::Str(_) | Unexpected::Char(_) => "text",
        Unexpected::Signed(_) | Unexpected::Unsigned(_) => "a number",
        Unexpected::Float(_) => "a fraction",
        Unexpected::Bool(_) => "true or false",
        Unexpected::Seq => "an array",
        Unexpected::Map => "a table",
        Unexpected::Other(_) => "a date, or a number too large",
        _ => "something else",
    }
}

impl<'de> Deserializer<'de> for ValueDeserializer<'_, '_> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0.get_ref() {
            DeValue::String(text) => visitor.visit_str(text),
            DeValue::Integer(number) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => visitor.visit_i64(number),
                    // Too large for an i64; a u64 key may still take it.
                    Err(_) => match u64::from_str_radix(number.as_str(), number.radix()) {
                        Ok(number) => visitor.visit_u64(number),
                        Err(_) => Err(de::Error::invalid_type(unexpected(self.0.get_ref()), &visitor)),
                    },
                }
            }
            DeValue::Float(number) => match number.as_str().parse() {
                Ok(number) => visitor.visit_f64(number),
                Err(_) => Err(de::Error::invalid_type(unexpected(self.0.get_ref()), &visitor)),
            },
            DeValue::Boolean(yes) => visitor.visit_bool(*yes),
            DeValue::Datetime(_) => Err(de::Error::invalid_type(unexpected(self.0.get_ref()), &visitor)),
            DeValue::Array(array) => visitor.visit_seq(Elements { array, next: 0 }),
            DeValue::Table(table) => visitor.visit_map(Entries { entries: table.iter(), value: None }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    /// A derived struct would take an array for its fields in order.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match self.0.get_ref() {
            DeValue::Table(_) => self.deserialize_any(visitor),
            other => Err(de::Error::invalid_type(unexpected(other), &"a map")),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        allowed: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match self.0.get_ref() {
            DeValue::String(text) => visitor.visit_enum(Word(text)),
            other => Err(Mistake::UnknownWord { found: kind(unexpected(other)).to_owned(), allowed }.into()),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

/// An enum variant is a word.
struct Word<'t>(&'t str);

impl<'de> EnumAccess<'de> for Word<'_> {
    type Error = DecodeError;
    type Variant = OnlyUnit;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, OnlyUnit), DecodeError> {
        let word: StrDeserializer<'_, DecodeError> = self.0.into_deserializer();
        Ok((seed.deserialize(word)?, OnlyUnit))
    }
}

struct OnlyUnit;

impl<'de> de::VariantAccess<'de> for OnlyUnit {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, _: S) -> Result<S::Value, DecodeError> {
        Err(de::Error::custom("a word cannot carry a value: write the word alone"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, DecodeError> {
        Err(de::Error::custom("a word cannot carry a value: write the word alone"))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, DecodeError> {
        Err(de::Error::custom("a word cannot carry a value: write the word alone"))
    }
}

struct Elements<'t, 'i> {
    array: &'t DeArray<'i>,
    next: usize,
}

impl<'de> SeqAccess<'de> for Elements<'_, '_> {
    type Error = DecodeError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, DecodeError> {
        while let Some(value) = self.array.get(self.next) {
            self.next += 1;
            if !is_removed(value) {
                return seed
                    .deserialize(ValueDeserializer(value))
                    .map(Some)
                    .map_err(|error| error.at(Step::Index(self.next - 1)));
            }
        }
        Ok(None)
    }
}

struct Entries<'t, 'i> {
    entries: toml::map::Iter<'t, Spanned<Cow<'i, str>>, Spanned<DeValue<'i>>>,
    value: Option<(&'t str, &'t Spanned<DeValue<'i>>)>,
}

impl<'de> MapAccess<'de> for Entries<'_, '_> {
    type Error = DecodeError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, DecodeError> {
        let Some((key, value)) = self.entries.by_ref().find(|(_, value)| !is_removed(value)) else {
            return Ok(None);
        };
        let key: &str = key.get_ref();
        self.value = Some((key, value));
        let deserializer: StrDeserializer<'_, DecodeError> = key.into_deserializer();
        seed.deserialize(deserializer).map(Some).map_err(|error| error.at(Step::Key(key.to_owned())))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, DecodeError> {
        let (key, value) = self.value.take().expect("serde asks for a value only after its key");
        seed.deserialize(ValueDeserializer(value)).map_err(|error| error.at(Step::Key(key.to_owned())))
    }
}

/// The value at `steps`, to change it.
pub(crate) fn value_at<'t, 'i>(
    value: &'t mut Spanned<DeValue<'i>>,
    steps: &[Step],
) -> Option<&'t mut Spanned<DeValue<'i>>> {
    steps.iter().try_fold(value, |value, step| match (value.get_mut(), step) {
        (DeValue::Table(table), Step::Key(key)) => table.get_mut(key.as_str()),
        (DeValue::Array(array), Step::Index(index)) => array.get_mut(*index),
        _ => None,
    })
}

/// The table in a value.
pub(crate) fn table_of<'t, 'i>(value: &'t mut Spanned<DeValue<'i>>) -> Option<&'t mut DeTable<'i>> {
    match value.get_mut() {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}
