//! Records as JSON: one line for each, every field of `schema/record.capnp`.
//!
//! ```json
//! {"name":"depth","value":42,"tags":["a"],"position":{"latitude":54.3,"longitude":10.1},
//!  "readings":[{"sensor":"s1","time_millis":1,"values":[0.5]}],"body":{"text":"calm"}}
//! ```
//!
//! Fields that are missing have their defaults, and such fields are not written. Floating-point values
//! that JSON has no numbers for are the strings "NaN", "Infinity" and "-Infinity".

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use shipmate::schema::record_capnp::record;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Record {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) name: String,
    pub(crate) value: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) position: Option<Position>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) readings: Vec<Reading>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<Body>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Position {
    pub(crate) latitude: Float,
    pub(crate) longitude: Float,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Reading {
    pub(crate) sensor: String,
    pub(crate) time_millis: i64,
    pub(crate) values: Vec<Float>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(crate) enum Body {
    Text(String),
    Number(Float),
    /// In base64.
    Bytes(String),
}

/// A float of any value, as a number or, where JSON has none, as a string.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Float(pub(crate) f64);

impl Record {
    /// Reads one line of JSON.
    pub(crate) fn from_json(line: &str) -> Result<Self> {
        Ok(serde_json::from_str(line)?)
    }

    /// One line of JSON, without its end.
    pub(crate) fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string(self)?)
    }

    /// Reads a message.
    pub(crate) fn from_message(record: record::Reader<'_>) -> Result<Self> {
        let mut readings = Vec::new();
        for reading in record.get_readings()? {
            readings.push(Reading {
                sensor: reading.get_sensor()?.to_string()?,
                time_millis: reading.get_time_millis(),
                values: reading.get_values()?.iter().map(Float).collect(),
            });
        }
        let tags = record.get_tags()?.iter().map(|tag| Ok(tag?.to_string()?)).collect::<Result<_>>()?;
        let position = match record.has_position() {
            true => {
                let position = record.get_position()?;
                let (latitude, longitude) = (position.get_latitude(), position.get_longitude());
                Some(Position { latitude: Float(latitude), longitude: Float(longitude) })
            }
            false => None,
        };
        let body = match record.get_body().which().context("a body of a newer schema")? {
            record::body::None(()) => None,
            record::body::Text(text) => Some(Body::Text(text?.to_string()?)),
            record::body::Number(number) => Some(Body::Number(Float(number))),
            record::body::Bytes(bytes) => Some(Body::Bytes(BASE64.encode(bytes?))),
        };
        Ok(Record { name: record.get_name()?.to_string()?, value: record.get_value(), tags, position, readings, body })
    }

    /// Checks what JSON cannot, so that [`build`](Self::build) cannot fail.
    pub(crate) fn check(&self) -> Result<()> {
        if let Some(Body::Bytes(text)) = &self.body
            && let Err(error) = BASE64.decode(text)
        {
            bail!("body.bytes is not base64: {error}");
        }
        Ok(())
    }

    /// Writes a message.
    pub(crate) fn build(&self, mut record: record::Builder<'_>) {
        record.set_name(&self.name);
        record.set_value(self.value);
        let mut tags = record.reborrow().init_tags(self.tags.len() as u32);
        for (index, tag) in self.tags.iter().enumerate() {
            tags.set(index as u32, tag);
        }
        if let Some(position) = &self.position {
            let mut to = record.reborrow().init_position();
            to.set_latitude(position.latitude.0);
            to.set_longitude(position.longitude.0);
        }
        let mut readings = record.reborrow().init_readings(self.readings.len() as u32);
        for (index, reading) in self.readings.iter().enumerate() {
            let mut to = readings.reborrow().get(index as u32);
            to.set_sensor(&reading.sensor);
            to.set_time_millis(reading.time_millis);
            let mut values = to.init_values(reading.values.len() as u32);
            for (index, value) in reading.values.iter().enumerate() {
                values.set(index as u32, value.0);
            }
        }
        let mut body = record.init_body();
        match &self.body {
            None => body.set_none(()),
            Some(Body::Text(text)) => body.set_text(text),
            Some(Body::Number(number)) => body.set_number(number.0),
            Some(Body::Bytes(text)) => body.set_bytes(&BASE64.decode(text).unwrap_or_default()),
        }
    }
}

/// Two NaN are the same value here: what was sent is what was received.
impl PartialEq for Float {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || self.0.is_nan() && other.0.is_nan()
    }
}

impl Serialize for Float {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            number if number.is_finite() => serializer.serialize_f64(number),
            number if number.is_nan() => serializer.serialize_str("NaN"),
            number if number > 0.0 => serializer.serialize_str("Infinity"),
            _ => serializer.serialize_str("-Infinity"),
        }
    }
}

impl<'de> Deserialize<'de> for Float {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(f64),
            Name(String),
        }
        let expected = "a number, \"NaN\", \"Infinity\" or \"-Infinity\"";
        match Either::deserialize(deserializer) {
            Ok(Either::Number(number)) => Ok(Float(number)),
            Ok(Either::Name(name)) => match name.as_str() {
                "NaN" => Ok(Float(f64::NAN)),
                "Infinity" => Ok(Float(f64::INFINITY)),
                "-Infinity" => Ok(Float(f64::NEG_INFINITY)),
                _ => Err(serde::de::Error::custom(format!("{name:?} is not {expected}"))),
            },
            Err(_) => Err(serde::de::Error::custom(format!("expected {expected}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use capnp::message::TypedBuilder;
    use proptest::prelude::*;

    use super::*;

    fn any_float() -> impl Strategy<Value = Float> {
        any::<f64>().prop_map(Float)
    }

    fn any_record() -> impl Strategy<Value = Record> {
        let position = (any_float(), any_float()).prop_map(|(latitude, longitude)| Position { latitude, longitude });
        let reading = (any::<String>(), any::<i64>(), prop::collection::vec(any_float(), 0..4))
            .prop_map(|(sensor, time_millis, values)| Reading { sensor, time_millis, values });
        let body = prop_oneof![
            any::<String>().prop_map(Body::Text),
            any_float().prop_map(Body::Number),
            any::<Vec<u8>>().prop_map(|bytes| Body::Bytes(BASE64.encode(bytes))),
        ];
        (
            any::<String>(),
            any::<i64>(),
            prop::collection::vec(any::<String>(), 0..4),
            prop::option::of(position),
            prop::collection::vec(reading, 0..4),
            prop::option::of(body),
        )
            .prop_map(|(name, value, tags, position, readings, body)| Record {
                name,
                value,
                tags,
                position,
                readings,
                body,
            })
    }

    proptest! {
        #[test]
        fn what_goes_through_json_and_a_message_comes_back(record in any_record()) {
            prop_assert_eq!(&Record::from_json(&record.to_json().unwrap()).unwrap(), &record);
            record.check().unwrap();
            let mut message = TypedBuilder::<record::Owned>::new_default();
            record.build(message.init_root());
            prop_assert_eq!(&Record::from_message(message.get_root_as_reader().unwrap()).unwrap(), &record);
        }
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said() {
        for (line, hint) in [
            (r#"{"nam":"x"}"#, "unknown field `nam`"),
            (r#"{"value":"x"}"#, "invalid type"),
            (r#"{"value":9223372036854775808}"#, "invalid value"),
            (r#"{"body":{"number":"one"}}"#, "NaN"),
            (r#"{"name":"x""#, "EOF"),
        ] {
            let error = format!("{:#}", Record::from_json(line).unwrap_err());
            assert!(error.contains(hint), "{line}: {error}");
        }
        let record = Record::from_json(r#"{"body":{"bytes":"no base64!"}}"#).unwrap();
        assert!(record.check().unwrap_err().to_string().contains("body.bytes"));
    }
}
