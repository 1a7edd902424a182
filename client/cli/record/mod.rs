//! Records as JSON, one to a line.
//!
//! | JSON | meaning |
//! |---|---|
//! | a field that is missing | the default: an empty text or list, 0, no position, no body |
//! | a field that the schema does not have, a wrong type, a field twice | an error |
//! | `value`, `timeMillis` | every 64-bit integer, exactly |
//! | a float | what is printed reads back as the same number; `"NaN"`, `"Infinity"` and `"-Infinity"` are texts, since JSON has no such numbers, and all NaNs are one |
//! | `body` | `{"text": "…"}`, `{"number": 1.5}` or `{"bytes": "…"}`, the bytes in base64 with padding (RFC 4648, section 4) |
//!
//! What is at its default is not printed, except `name` and `value`.

mod object;

use serde::{Deserialize, Serialize};
use shipmate::schema::record_capnp::{reading, record};

/// What `schema/record.capnp` calls a Record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Record {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) value: i64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) position: Option<Position>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) readings: Vec<Reading>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<Body>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Position {
    pub(crate) latitude: Float,
    pub(crate) longitude: Float,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Reading {
    pub(crate) sensor: String,
    pub(crate) time_millis: i64,
    pub(crate) values: Vec<Float>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Body {
    Text(String),
    Number(Float),
    Bytes(#[serde(with = "base64_text")] Vec<u8>),
}

object::objects!(Record, Position, Reading);

/// Every `Float64`. Two are equal when they print alike.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Float(pub(crate) f64);

impl Record {
    /// Reads a line.
    pub(crate) fn parse(line: &str) -> Result<Self, String> {
        let mut json = serde_json::Deserializer::from_str(line);
        let record = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            let wrong = without_position(error.inner());
            // The path of what is wrong about the record itself is a dot.
            if path == "." { wrong } else { format!("{path}: {wrong}") }
        })?;
        json.end().map_err(|error| without_position(&error))?;
        Ok(record)
    }

    /// The line, without its end.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("every record can be written as JSON")
    }

    /// Reads a message.
    pub(crate) fn read(record: record::Reader<'_>) -> capnp::Result<Self> {
        let position = match record.has_position() {
            true => {
                let position = record.get_position()?;
                Some(Position { latitude: Float(position.get_latitude()), longitude: Float(position.get_longitude()) })
            }
            false => None,
        };
        let body = match record.get_body().which()? {
            record::body::None(()) => None,
            record::body::Text(text) => Some(Body::Text(text?.to_string()?)),
            record::body::Number(number) => Some(Body::Number(Float(number))),
            record::body::Bytes(bytes) => Some(Body::Bytes(bytes?.to_vec())),
        };
        Ok(Record {
            name: record.get_name()?.to_string()?,
            value: record.get_value(),
            tags: record.get_tags()?.iter().map(|tag| Ok(tag?.to_string()?)).collect::<capnp::Result<_>>()?,
            position,
            readings: record.get_readings()?.iter().map(Reading::read).collect::<capnp::Result<_>>()?,
            body,
        })
    }

    /// Fills a message.
    pub(crate) fn build(&self, mut to: record::Builder<'_>) {
        to.set_name(&self.name);
        to.set_value(self.value);
        let mut tags = to.reborrow().init_tags(self.tags.len() as u32);
        for (index, tag) in (0..).zip(&self.tags) {
            tags.set(index, tag);
        }
        if let Some(Position { latitude, longitude }) = self.position {
            let mut position = to.reborrow().init_position();
            position.set_latitude(latitude.0);
            position.set_longitude(longitude.0);
        }
        let mut readings = to.reborrow().init_readings(self.readings.len() as u32);
        for (index, reading) in (0..).zip(&self.readings) {
            reading.build(readings.reborrow().get(index));
        }
        let mut body = to.init_body();
        match &self.body {
            None => body.set_none(()),
            Some(Body::Text(text)) => body.set_text(text),
            Some(Body::Number(number)) => body.set_number(number.0),
            Some(Body::Bytes(bytes)) => body.set_bytes(bytes),
        }
    }
}

impl Reading {
    fn read(reading: reading::Reader<'_>) -> capnp::Result<Self> {
        Ok(Reading {
            sensor: reading.get_sensor()?.to_string()?,
            time_millis: reading.get_time_millis(),
            values: reading.get_values()?.iter().map(Float).collect(),
        })
    }

    fn build(&self, mut to: reading::Builder<'_>) {
        to.set_sensor(&self.sensor);
        to.set_time_millis(self.time_millis);
        let mut values = to.init_values(self.values.len() as u32);
        for (index, value) in (0..).zip(&self.values) {
            values.set(index, value.0);
        }
    }
}

impl PartialEq for Float {
    fn eq(&self, other: &Self) -> bool {
        (self.0.is_nan() && other.0.is_nan()) || self.0.to_bits() == other.0.to_bits()
    }
}

const NOT_FINITE: [(&str, f64); 3] = [("NaN", f64::NAN), ("Infinity", f64::INFINITY), ("-Infinity", f64::NEG_INFINITY)];

impl Serialize for Float {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match NOT_FINITE.into_iter().find(|&(_, value)| Float(value) == *self) {
            Some((word, _)) => serializer.serialize_str(word),
            None => serializer.serialize_f64(self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Float {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl serde::de::Visitor<'_> for Visitor {
            type Value = Float;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number, \"NaN\", \"Infinity\" or \"-Infinity\"")
            }

            fn visit_f64<E>(self, value: f64) -> Result<Float, E> {
                Ok(Float(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Float, E> {
                Ok(Float(value as f64))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Float, E> {
                Ok(Float(value as f64))
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Float, E> {
                let known = NOT_FINITE.into_iter().find(|&(known, _)| known == word);
                known
                    .map(|(_, value)| Float(value))
                    .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(word), &self))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

/// serde_json's words, with the column alone: there is one line.
fn without_position(error: &serde_json::Error) -> String {
    let (text, column) = (error.to_string(), error.column());
    match text.strip_suffix(&format!(" at line {} column {column}", error.line())) {
        Some(words) => format!("{words}, at column {column}"),
        None => text,
    }
}

mod base64_text {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        // Not a borrowed text: one with escapes cannot be.
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map_err(|error| D::Error::custom(format!("not base64: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    fn any_float() -> impl Strategy<Value = Float> {
        use proptest::num::f64;
        let any = f64::NORMAL | f64::SUBNORMAL | f64::ZERO | f64::INFINITE | f64::QUIET_NAN | f64::NEGATIVE;
        any.prop_map(Float)
    }

    fn any_text() -> impl Strategy<Value = String> {
        prop_oneof!["[a-z]{0,8}", any::<String>(), Just("\0 \" \\ \u{2028} \u{1f6a2}".to_owned())]
    }

    fn any_reading() -> impl Strategy<Value = Reading> {
        let parts = (any_text(), any::<i64>(), vec(any_float(), 0..5));
        parts.prop_map(|(sensor, time_millis, values)| Reading { sensor, time_millis, values })
    }

    fn any_body() -> impl Strategy<Value = Body> {
        prop_oneof![
            any_text().prop_map(Body::Text),
            any_float().prop_map(Body::Number),
            vec(any::<u8>(), 0..40).prop_map(Body::Bytes),
        ]
    }

    fn any_record() -> impl Strategy<Value = Record> {
        let position = (any_float(), any_float()).prop_map(|(latitude, longitude)| Position { latitude, longitude });
        let parts = (
            any_text(),
            any::<i64>(),
            vec(any_text(), 0..4),
            option::of(position),
            vec(any_reading(), 0..4),
            option::of(any_body()),
        );
        parts.prop_map(|(name, value, tags, position, readings, body)| Record {
            name,
            value,
            tags,
            position,
            readings,
            body,
        })
    }

    fn through_a_message(record: &Record) -> Record {
        let mut message = capnp::message::Builder::new_default();
        record.build(message.init_root());
        let bytes = capnp::serialize::write_message_to_words(&message);
        let reader = capnp::serialize::read_message(bytes.as_slice(), Default::default()).unwrap();
        Record::read(reader.get_root().unwrap()).unwrap()
    }

    proptest! {
        #[test]
        fn a_record_survives_a_message_and_a_line(record in any_record()) {
            prop_assert_eq!(&through_a_message(&record), &record);
            let line = record.to_json();
            prop_assert!(!line.contains('\n'));
            prop_assert_eq!(Record::parse(&line).unwrap(), record);
        }

        #[test]
        fn a_line_that_parses_means_the_same_when_printed(line in r#"\{("(name|value|tags|body|x)":("a"|-?[0-9]{1,3}|\[\]|\{"number":[0-9]\}),?){0,2}\}"#) {
            if let Ok(record) = Record::parse(&line) {
                prop_assert_eq!(Record::parse(&record.to_json()).unwrap(), record);
            }
        }
    }

    #[test]
    fn every_field_has_its_place() {
        let line = r#"{"name":"n","value":-9223372036854775808,"tags":["a","b"],"position":{"latitude":54.5,"longitude":-0.0},"readings":[{"sensor":"s","timeMillis":9223372036854775807,"values":[0.1,"NaN","-Infinity"]}],"body":{"bytes":"AP8="}}"#;
        let record = Record::parse(line).unwrap();
        assert_eq!(record.value, i64::MIN);
        assert_eq!(record.body, Some(Body::Bytes(vec![0, 255])));
        assert_eq!(through_a_message(&record).to_json(), line);
        assert_eq!(Record::parse("{}").unwrap().to_json(), r#"{"name":"","value":0}"#);
        assert_eq!(Record::parse(r#"{"body":null}"#).unwrap().body, None);
        assert_eq!(Record::parse(r#"{"body":{"number":7}}"#).unwrap().body, Some(Body::Number(Float(7.0))));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, hint) in [
            (r#"{"nmae":"x"}"#, "nmae: unknown field `nmae`, expected one of `name`"),
            (r#"{"name":7}"#, "name: invalid type: integer `7`, expected a string"),
            (r#"{"value":"7"}"#, "value: invalid type: string \"7\", expected i64"),
            (r#"{"value":1.0}"#, "value: invalid type: floating point `1.0`, expected i64"),
            (r#"{"value":9223372036854775808}"#, "value: invalid value"),
            (r#"{"value":1,"value":2}"#, "duplicate field `value`"),
            (r#"{"tags":["a",1]}"#, "tags[1]: invalid type"),
            (r#"{"readings":[{},{"values":[1,"x"]}]}"#, "readings[1].values[1]: invalid value: string \"x\""),
            (r#"{"readings":[{"value":[]}]}"#, "readings[0].value: unknown field"),
            (r#"{"position":{"latitude":true}}"#, "position.latitude: invalid type: boolean `true`, expected a number"),
            (r#"{"body":{"text":1}}"#, "body.text: invalid type"),
            (r#"{"body":{"bytes":"AP8"}}"#, "body.bytes: not base64"),
            (r#"{"body":{"picture":""}}"#, "unknown variant `picture`, expected one of `text`, `number`, `bytes`"),
            (r#"{"body":{"text":"a","number":1}}"#, "body"),
            (r#"{"body":{"number":1e999}}"#, "number out of range"),
            (r#"{} {}"#, "trailing characters, at column 4"),
            (r#"[]"#, "invalid type: sequence, expected an object"),
            (r#"{"readings":[["s",1,[]]]}"#, "readings[0]: invalid type: sequence, expected an object"),
            (r#"{"name":"x""#, "EOF while parsing an object, at column 11"),
        ] {
            let error = Record::parse(line).unwrap_err();
            assert!(error.contains(hint), "{line}: {error}");
            assert!(!error.contains("line 1"), "{line}: {error}");
        }
    }

    #[test]
    fn a_text_that_is_not_utf_8_is_an_error() {
        let mut message = capnp::message::Builder::new_default();
        let record: record::Builder<'_> = message.init_root();
        record.init_name(2).as_bytes_mut().copy_from_slice(&[0xff, 0xfe]);
        assert!(Record::read(message.get_root_as_reader().unwrap()).is_err());
    }
}
