//! Virtual MFA devices: created first, then enabled for a user with two codes.

use std::time::Duration;

use aws_smithy_types::base64;

use super::call::{Answer, Call, Kind, already_exists, delete_conflict, no_such_entity};
use super::render::date;
use crate::arn;
use crate::iam::{MfaDevice, MfaRecord, unique_id};
use crate::protocol::{Element, ErrorResponse};

/// The tolerated clock skew of a device, in steps of 30 seconds.
const SKEW: u64 = 2;

pub(super) fn create(call: &mut Call<'_>) -> Answer {
    let name = call.name("VirtualMFADeviceName", 226)?;
    let serial = call.arn(&format!("mfa{}{name}", call.path()?));
    call.authorize(&serial)?;
    let devices = &call.accounts.directory.mfa_devices;
    if devices.contains_key(&serial) || call.accounts.mfa_devices.contains_key(&serial) {
        return Err(already_exists(
            "MFADevice entity at the same path and name already exists.",
        ));
    }
    let seed = unique_id("", 64);
    let elements = vec![
        Element::text("SerialNumber", &*serial),
        // The element is binary, so the base32 text is base64-encoded.
        Element::text("Base32StringSeed", base64::encode(&seed)),
    ];
    let record = MfaRecord {
        seed,
        enabled: None,
    };
    call.accounts.directory.mfa_devices.insert(serial, record);
    Ok(Some(vec![Element::parent("VirtualMFADevice", elements)]))
}

pub(super) fn enable(call: &mut Call<'_>) -> Answer {
    let user = call.authorized(Kind::User)?.arn.clone();
    let serial = call.required("SerialNumber")?;
    let codes = [
        call.required("AuthenticationCode1")?,
        call.required("AuthenticationCode2")?,
    ];
    let missing = || {
        no_such_entity(format!(
            "VirtualMFADevice with serial number {serial} does not exist."
        ))
    };
    if arn::account_of(serial) != call.account {
        return Err(missing());
    }
    let now = call.now;
    let record = call.accounts.directory.mfa_devices.get_mut(serial);
    let record = record.ok_or_else(missing)?;
    if record.enabled.is_some() {
        return Err(already_exists("MFA Device is already in use."));
    }
    let device = MfaDevice::from_secret(&user, &record.seed).ok_or_else(missing)?;
    let step = Duration::from_secs(30);
    let mut times = (0..=2 * SKEW).filter_map(|steps| {
        let first = now.checked_sub(step * SKEW as u32)?;
        first.checked_add(step * steps as u32)
    });
    // Two consecutive codes.
    let valid = times.any(|at| [device.code_at(at), device.code_at(at + step)] == codes);
    if !valid {
        return Err(ErrorResponse::new(
            403,
            "InvalidAuthenticationCode",
            "Authentication code for device is not valid.",
        ));
    }
    record.enabled = Some(now);
    call.accounts.mfa_devices.insert(serial.to_owned(), device);
    Ok(None)
}

pub(super) fn deactivate(call: &mut Call<'_>) -> Answer {
    let user = call.authorized(Kind::User)?.arn.clone();
    let serial = call.required("SerialNumber")?;
    if !call.accounts.mfa_devices_of(&user).any(|own| own == serial) {
        return Err(no_such_entity(format!(
            "Device with name {serial} is not associated with the user."
        )));
    }
    call.accounts.mfa_devices.remove(serial);
    if let Some(record) = call.accounts.directory.mfa_devices.get_mut(serial) {
        record.enabled = None;
    }
    Ok(None)
}

pub(super) fn delete(call: &mut Call<'_>) -> Answer {
    let serial = call.required("SerialNumber")?;
    call.authorize(serial)?;
    if arn::account_of(serial) == call.account {
        if call.accounts.mfa_devices.contains_key(serial) {
            return Err(delete_conflict(
                "The MFA device is in use: deactivate it first.",
            ));
        }
        if call.accounts.directory.mfa_devices.remove(serial).is_some() {
            return Ok(None);
        }
    }
    Err(no_such_entity(format!(
        "VirtualMFADevice with serial number {serial} doesn't exist."
    )))
}

pub(super) fn list(call: &mut Call<'_>) -> Answer {
    let user = call.authorized_user()?.clone();
    let mut serials: Vec<&str> = call.accounts.mfa_devices_of(&user.arn).collect();
    serials.sort_unstable();
    let devices = serials
        .into_iter()
        .map(|serial| {
            let record = call.accounts.directory.mfa_devices.get(serial);
            let enabled = record.and_then(|record| record.enabled);
            Element::parent(
                "member",
                vec![
                    Element::text("UserName", user.name()),
                    Element::text("SerialNumber", serial),
                    date("EnableDate", enabled.unwrap_or(user.created)),
                ],
            )
        })
        .collect();
    call.page("MFADevices", devices)
}

pub(super) fn list_virtual(call: &mut Call<'_>) -> Answer {
    call.authorize(&call.arn("mfa/*"))?;
    let status = call.optional("AssignmentStatus").unwrap_or("Any");
    let devices = call
        .accounts
        .directory
        .mfa_devices
        .iter()
        .filter(|(serial, _)| arn::account_of(serial) == call.account)
        .filter(|(_, record)| match status {
            "Assigned" => record.enabled.is_some(),
            "Unassigned" => record.enabled.is_none(),
            _ => true,
        })
        .map(|(serial, record)| {
            let mut elements = vec![Element::text("SerialNumber", &**serial)];
            if let Some(enabled) = record.enabled {
                elements.push(date("EnableDate", enabled));
            }
            Element::parent("member", elements)
        })
        .collect();
    call.page("VirtualMFADevices", devices)
}
