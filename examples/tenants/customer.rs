//! A customer, parsed from a row of the JSON file.

use serde_json::Value;

pub struct Customer {
    pub name: String,
    pub role_arn: String,
    pub external_id: String,
    pub stream: String,
    pub region: String,
}

/// Returns the customer's name, or the row's number if the name is invalid: it could contain line feeds.
pub fn name_or_row((i, row): (usize, &Value)) -> String {
    Customer::name(row).unwrap_or_else(|_| format!("row {}", i + 1))
}

impl Customer {
    /// Parses a row. The error contains no values, because one of them is the external ID.
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
        // The region becomes a part of the host name that records are sent to. It must not name another host.
        let of_host = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !region.is_empty() && region.chars().all(of_host) {
            Ok(region)
        } else {
            Err("region must be the stream's region, such as eu-west-1".to_owned())
        }
    }

    fn name(row: &Value) -> Result<String, String> {
        let name = text(row, "name")?;
        // The name becomes a part of a file name. It must not lead to another folder.
        let of_file = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        if !name.is_empty() && name.chars().all(of_file) {
            Ok(name)
        } else {
            Err("name may contain only ASCII letters, digits, _ and -".to_owned())
        }
    }
}

fn text(row: &Value, key: &str) -> Result<String, String> {
    let text = row[key].as_str().map(str::to_owned);
    text.ok_or_else(|| format!("{key} is missing or not a string"))
}
