//! [`Arn`]: the only parser of Amazon Resource Names.

/// `arn:<partition>:<service>:<region>:<account>:<resource>`, of any partition; see
/// [AWS's page](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arn<'a> {
    pub(crate) partition: &'a str,
    pub(crate) service: &'a str,
    pub(crate) region: &'a str,
    pub(crate) account: &'a str,
    /// Everything after the account; may contain colons.
    pub(crate) resource: &'a str,
}

impl<'a> Arn<'a> {
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let ("arn", partition) = (parts.next()?, parts.next()?) else {
            return None;
        };
        let is_partition = partition.starts_with(|c: char| c.is_ascii_lowercase())
            && partition
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        is_partition.then_some(())?;
        Some(Self {
            partition,
            service: parts.next()?,
            region: parts.next()?,
            account: parts.next()?,
            resource: parts.next()?,
        })
    }

    /// The rest of the resource after `kind`, if this is the ARN of such an IAM resource; those have no region.
    pub(crate) fn iam(&self, kind: &str) -> Option<&'a str> {
        let rest = self.resource.strip_prefix(kind)?;
        (self.service == "iam" && self.region.is_empty()).then_some(rest)
    }

    /// The path, including its leading and trailing slash, and the name of an IAM role. A role without a path has the
    /// path `/`.
    pub(crate) fn role(&self) -> Option<(&'a str, &'a str)> {
        let path_and_name = self.iam("role").filter(|rest| rest.starts_with('/'))?;
        let name_at = path_and_name.rfind('/')? + 1;
        Some(path_and_name.split_at(name_at))
    }

    /// The names of the role and of the session, if this is the ARN of a role session. Such an ARN omits the role's
    /// path.
    pub(crate) fn assumed_role(&self) -> Option<(&'a str, &'a str)> {
        let names = self.resource.strip_prefix("assumed-role/")?;
        names.split_once('/')
    }
}

/// Whether `text` is an AWS account ID, which has 12 digits.
pub(crate) fn is_account_id(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_is_parsed_into_its_parts_or_not_at_all() {
        let arn = Arn::parse("arn:aws-us-gov:iam::222222222222:role/a/b/Name").unwrap();
        assert_eq!((arn.partition, arn.account), ("aws-us-gov", "222222222222"));
        assert_eq!(arn.role(), Some(("/a/b/", "Name")));
        assert_eq!(arn.assumed_role(), None);
        let arn = Arn::parse("arn:aws:iam::222222222222:role/Name").unwrap();
        assert_eq!(arn.role(), Some(("/", "Name")));
        let arn = Arn::parse("arn:aws:sts::222222222222:assumed-role/Name/session").unwrap();
        assert_eq!(arn.assumed_role(), Some(("Name", "session")));
        assert_eq!(arn.role(), None);
        assert!(Arn::parse("arn:aws-iso-2:iam::1:role/R").is_some());
        for not_a_role in [
            "arn:aws:iam::1:user/u",
            "arn:aws:iam::1:roles/R",
            "arn:aws:iam:x:1:role/R",
            "arn:aws:s3:::role/R",
        ] {
            assert_eq!(Arn::parse(not_a_role).unwrap().role(), None, "{not_a_role}");
        }
        for malformed in [
            "",
            "arn",
            "arn:aWS:iam::1:role/R",
            "arn::iam::1:role/R",
            "arn:aws:iam::1",
        ] {
            assert_eq!(Arn::parse(malformed), None, "{malformed}");
        }
    }
}
