//! A customer, read from a row of the JSON file.

use serde_json::Value;

pub struct Customer {
    pub name: String,
    pub role_arn: String,
    pub external_id: String,
    pub stream: String,
    pub region: String,
}

/// Returns the customer's name. One that is invalid is not shown: it may be longer than a line.
pub fn name_or_row((i, row): (usize, &Value)) -> String {
    Customer::name(row).unwrap_or_else(|_| format!("row {}", i + 1))
}

impl Customer {
    /// The error names no value: one of them is the external ID.
    pub fn read(row: &Value) -> Result<Self, String> {
        Ok(Self {
            name: Self::name(row)?,
            role_arn: text(row, "role_arn")?,
            external_id: text(row, "external_id")?,
            stream: text(row, "stream")?,
            region: Self::region(row)?,
        })
    }

    fn region(row: &Value) -> Result<String, String> {
        let region = text(row, "region")?;
        // It is a part of the host name that records are sent to.
        let of_host = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !region.is_empty() && region.chars().all(of_host) {
            Ok(region)
        } else {
            Err("region must be that of the stream, such as eu-west-1".to_owned())
        }
    }

    fn name(row: &Value) -> Result<String, String> {
        let name = text(row, "name")?;
        // It names a file.
        let of_file = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        if !name.is_empty() && name.chars().all(of_file) {
            Ok(name)
        } else {
            Err("name may have only ASCII letters, digits, _ and -".to_owned())
        }
    }
}

fn text(row: &Value, key: &str) -> Result<String, String> {
    let text = row[key].as_str().map(str::to_owned);
    text.ok_or_else(|| format!("{key} is missing, or not a string"))
}
