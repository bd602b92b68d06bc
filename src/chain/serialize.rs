//! `Serialize` of [`Health`], [`HopStatus`] and [`Error`], for a health page in JSON (feature `serde`).
#![cfg(feature = "serde")]

use std::time::SystemTime;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::status::{Health, HopStatus};
use crate::error::Error;
use crate::timestamp::timestamp;

/// `state` (`ready`, `degraded` or `failing`) and `error` (`null` while ready).
impl Serialize for Health {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let state = match self {
            Self::Ready => "ready",
            Self::Degraded(_) => "degraded",
            Self::Failing(_) => "failing",
        };
        let mut fields = serializer.serialize_struct("Health", 2)?;
        fields.serialize_field("state", state)?;
        fields.serialize_field("error", &self.error())?;
        fields.end()
    }
}

/// The fields by name, with times in AWS's format, `2026-11-26T08:00:00Z`.
impl Serialize for HopStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = |time: Option<SystemTime>| time.map(timestamp);
        let mut fields = serializer.serialize_struct("HopStatus", 8)?;
        fields.serialize_field("hop", &self.hop)?;
        fields.serialize_field("role_arn", &self.role_arn)?;
        fields.serialize_field("session_arn", &self.session_arn)?;
        fields.serialize_field("access_key_id", &self.access_key_id)?;
        fields.serialize_field("expiry", &text(self.expiry))?;
        fields.serialize_field("is_expired", &self.is_expired)?;
        fields.serialize_field("next_refresh", &text(self.next_refresh))?;
        fields.serialize_field("last_error", &self.last_error)?;
        fields.end()
    }
}

/// `message` (the first line of `Display`), `code` (STS's, or `null`), `is_transient` and `advice`.
impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Error", 4)?;
        fields.serialize_field("message", &self.first_line().to_string())?;
        fields.serialize_field("code", &self.code())?;
        fields.serialize_field("is_transient", &self.is_transient())?;
        fields.serialize_field("advice", self.advice())?;
        fields.end()
    }
}
