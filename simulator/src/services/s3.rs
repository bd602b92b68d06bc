//! [`S3`]: buckets that keep their objects in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::date_time::Format;
use aws_smithy_types::{DateTime, base64};
use md5::{Digest, Md5};

use super::preconditions::{self, Unmet};
use super::{bucket_policy, chunked};
use crate::clock::{Clock, timestamp};
use crate::endpoint::{bucket_of_host, host_of, path_of};
use crate::iam::{AccessRequest, Caller, IamError, SharedAccounts};
use crate::policy::Policy;
use crate::protocol::{Element, ErrorResponse, query_of, response, xml};
use crate::signature::Authorization;
use crate::simulator::Simulator;

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// An in-memory Amazon S3: buckets (create, head, list, delete, location, policy) and objects (put, get, head, delete,
/// list), with path-style and virtual-hosted-style requests.
///
/// Callers need the permission for the operation; callers from another account also need it from the bucket policy. As
/// in every new bucket, public access is blocked: a policy that allows everybody something without a `Condition` is
/// rejected, as is every unsigned request. The bucket owner owns all objects, and ACLs that say otherwise are rejected.
/// Conditional requests (`If-Match` and similar headers) are supported. Object tags require their permission, but are
/// not stored. Multipart uploads, copies and versions are rejected by name.
///
/// # Examples
///
/// ```
/// use sts_simulator::{S3, Simulator};
///
/// let aws = Simulator::new();
/// let s3 = S3::plug_into(&aws);
/// s3.create_bucket("222222222222", "reports");
/// s3.put("reports", "2026/orders.ndjson", "{}");
/// // … the code under test reads the report …
/// assert_eq!(s3.object("reports", "2026/orders.ndjson").as_deref(), Some(&b"{}"[..]));
/// assert_eq!(s3.object("reports", "none"), None);
/// ```
#[derive(Clone)]
pub struct S3 {
    clock: Clock,
    accounts: SharedAccounts,
    buckets: Arc<Mutex<BTreeMap<String, Bucket>>>,
}

struct Bucket {
    account: String,
    region: String,
    created: SystemTime,
    /// The policy's text and its parsed form.
    policy: Option<(String, Arc<Policy>)>,
    objects: BTreeMap<String, Object>,
}

#[derive(Clone)]
struct Object {
    data: Vec<u8>,
    etag: String,
    content_type: String,
    /// The headers `x-amz-meta-…`.
    metadata: Vec<(String, String)>,
    modified: SystemTime,
}

impl S3 {
    /// Creates an S3 without buckets and adds it to `simulator` as the service `s3`.
    pub fn plug_into(simulator: &Simulator) -> Self {
        let s3 = Self {
            clock: simulator.clock(),
            accounts: simulator.shared_accounts(),
            buckets: Arc::default(),
        };
        let service = s3.clone();
        simulator.service("s3", move |caller, request| {
            let call = Call::read(&service, caller, request);
            let answer = call.and_then(|call| call.perform());
            answer.unwrap_or_else(|error| error.into_service_response("s3", request))
        });
        s3
    }

    /// Creates a bucket in an account, in the region `eu-west-1`, unless the bucket exists.
    pub fn create_bucket(&self, account: impl Into<String>, name: impl Into<String>) {
        let bucket = Bucket {
            account: account.into(),
            region: "eu-west-1".to_owned(),
            created: self.clock.now(),
            policy: None,
            objects: BTreeMap::new(),
        };
        self.lock().entry(name.into()).or_insert(bucket);
    }

    /// Sets the policy of a bucket, as JSON, for example to give other accounts access.
    ///
    /// # Errors
    ///
    /// Fails if the bucket does not exist, or if S3 rejects the policy: it is malformed, names principals that do not
    /// exist or resources other than the bucket's, or is public.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sts_simulator::{S3, Simulator};
    ///
    /// let aws = Simulator::new();
    /// let s3 = S3::plug_into(&aws);
    /// s3.create_bucket("222222222222", "reports");
    /// s3.put_policy(
    ///     "reports",
    ///     r#"{"Version": "2012-10-17", "Statement": {
    ///         "Effect": "Allow", "Principal": {"AWS": "111111111111"},
    ///         "Action": "s3:GetObject", "Resource": "arn:aws:s3:::reports/*"}}"#,
    /// )?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn put_policy(&self, bucket: &str, json: &str) -> Result<(), IamError> {
        if !self.lock().contains_key(bucket) {
            return Err(IamError::no_such_entity(bucket, "there is no such bucket"));
        }
        let policy = bucket_policy::read(&self.accounts.lock(), bucket, json)?;
        if let Some(bucket) = self.lock().get_mut(bucket) {
            bucket.policy = Some((json.to_owned(), policy));
        }
        Ok(())
    }

    /// Puts an object. Does nothing if the bucket does not exist.
    pub fn put(&self, bucket: &str, key: impl Into<String>, data: impl Into<Vec<u8>>) {
        let object = Object::new(data.into(), self.clock.now());
        if let Some(bucket) = self.lock().get_mut(bucket) {
            bucket.objects.insert(key.into(), object);
        }
    }

    /// Returns the content of an object; `None` if it does not exist.
    pub fn object(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        let buckets = self.lock();
        let object = buckets.get(bucket)?.objects.get(key)?;
        Some(object.data.clone())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Bucket>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3").finish_non_exhaustive()
    }
}

impl Object {
    fn new(data: Vec<u8>, modified: SystemTime) -> Self {
        let digest = Md5::digest(&data);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            etag: format!("\"{hex}\""),
            content_type: "binary/octet-stream".to_owned(),
            metadata: Vec::new(),
            modified,
            data,
        }
    }
}

/// One request, with the bucket and key that it names.
struct Call<'a> {
    s3: &'a S3,
    caller: &'a Caller,
    request: &'a HttpRequest,
    bucket: String,
    key: String,
    query: Vec<(String, String)>,
}

impl<'a> Call<'a> {
    fn read(
        s3: &'a S3,
        caller: &'a Caller,
        request: &'a HttpRequest,
    ) -> Result<Self, ErrorResponse> {
        let host = request.headers().get("host");
        let host = host.unwrap_or_else(|| host_of(request.uri()));
        let path = path_of(request.uri());
        let path = path.strip_prefix('/').unwrap_or(path);
        let (bucket, key) = match bucket_of_host(host) {
            Some(bucket) => (bucket, path),
            None => path.split_once('/').unwrap_or((path, "")),
        };
        let decode = |text: &str| -> Result<String, ErrorResponse> {
            let bytes = percent_encoding::percent_decode_str(text);
            let text = bytes.decode_utf8().map_err(|_| {
                ErrorResponse::new(400, "InvalidURI", "Couldn't parse the specified URI.")
            })?;
            Ok(text.into_owned())
        };
        Ok(Self {
            s3,
            caller,
            request,
            bucket: decode(bucket)?,
            key: decode(key)?,
            query: form_urlencoded::parse(query_of(request).as_bytes())
                .into_owned()
                .collect(),
        })
    }

    fn perform(&self) -> Result<HttpResponse, ErrorResponse> {
        // Query parameters that select an operation that is not simulated.
        const SUBRESOURCES: [&str; 25] = [
            "accelerate",
            "acl",
            "analytics",
            "attributes",
            "cors",
            "delete",
            "encryption",
            "inventory",
            "legal-hold",
            "lifecycle",
            "logging",
            "metrics",
            "notification",
            "object-lock",
            "ownershipControls",
            "partNumber",
            "policyStatus",
            "publicAccessBlock",
            "replication",
            "tagging",
            "uploadId",
            "uploads",
            "versionId",
            "versioning",
            "website",
        ];
        let has = |name: &str| self.query.iter().any(|(key, _)| key == name);
        if let Some(name) = SUBRESOURCES.into_iter().find(|name| has(name)) {
            return Err(not_implemented(&format!("?{name}")));
        }
        if self.request.headers().get("x-amz-copy-source").is_some() {
            return Err(not_implemented("CopyObject"));
        }
        self.check_owner()?;
        match (
            self.request.method(),
            self.bucket.as_str(),
            self.key.as_str(),
        ) {
            ("GET", "", _) => self.list_buckets(),
            ("GET", _, "") if has("policy") => self.get_policy(),
            ("PUT", _, "") if has("policy") => self.put_policy(),
            ("DELETE", _, "") if has("policy") => self.delete_policy(),
            ("GET", _, "") if has("location") => self.location(),
            ("GET", _, "") if has("versions") => Err(not_implemented("ListObjectVersions")),
            ("GET", _, "") => self.list_objects(),
            ("HEAD", _, "") => self.head_bucket(),
            ("PUT", _, "") => self.create_bucket(),
            ("DELETE", _, "") => self.delete_bucket(),
            ("GET" | "HEAD", ..) => self.get_object(),
            ("PUT", ..) => self.put_object(),
            ("DELETE", ..) => self.delete_object(),
            (method, ..) => Err(not_implemented(method)),
        }
    }

    fn list_buckets(&self) -> Result<HttpResponse, ErrorResponse> {
        let list = self.with_keys(self.caller.request("s3:ListAllMyBuckets", "*"));
        if !list.is_allowed() {
            return Err(self.denied(&list, None));
        }
        let buckets = self.s3.lock();
        let own = buckets
            .iter()
            .filter(|(_, bucket)| bucket.account == self.caller.account());
        let own = own.map(|(name, bucket)| {
            Element::parent(
                "Bucket",
                vec![
                    Element::text("Name", name),
                    Element::text("CreationDate", timestamp(bucket.created)),
                ],
            )
        });
        let owner = Element::parent("Owner", vec![Element::text("ID", self.caller.account())]);
        let buckets = Element::parent("Buckets", own.collect());
        Ok(document("ListAllMyBucketsResult", &[owner, buckets]))
    }

    fn create_bucket(&self) -> Result<HttpResponse, ErrorResponse> {
        let create = self.caller.request("s3:CreateBucket", self.bucket_arn());
        let create = self.with_keys(create);
        if !create.is_allowed() {
            return Err(self.denied(&create, None));
        }
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c);
        if !(3..=63).contains(&self.bucket.len()) || !self.bucket.chars().all(is_name) {
            return Err(ErrorResponse::new(
                400,
                "InvalidBucketName",
                "The specified bucket is not valid.",
            ));
        }
        let mut buckets = self.s3.lock();
        match buckets.get(&self.bucket) {
            Some(bucket) if bucket.account == self.caller.account() => {
                return Err(ErrorResponse::new(
                    409,
                    "BucketAlreadyOwnedByYou",
                    "Your previous request to create the named bucket succeeded and you already own it.",
                ));
            }
            Some(_) => {
                return Err(ErrorResponse::new(
                    409,
                    "BucketAlreadyExists",
                    "The requested bucket name is not available. The bucket namespace is shared by all \
                     users of the system. Please select a different name and try again.",
                ));
            }
            None => {}
        }
        let region = Authorization::read(self.request).map_or_else(String::new, |a| a.region);
        let bucket = Bucket {
            account: self.caller.account().to_owned(),
            region,
            created: self.s3.clock.now(),
            policy: None,
            objects: BTreeMap::new(),
        };
        buckets.insert(self.bucket.clone(), bucket);
        let mut created = empty(200);
        let headers = created.headers_mut();
        headers.insert("location", format!("/{}", self.bucket));
        Ok(created)
    }

    fn delete_bucket(&self) -> Result<HttpResponse, ErrorResponse> {
        self.authorize("s3:DeleteBucket", &self.bucket_arn())?;
        let is_empty = self.with_bucket(|bucket| bucket.objects.is_empty())?;
        if !is_empty {
            return Err(ErrorResponse::new(
                409,
                "BucketNotEmpty",
                "The bucket you tried to delete is not empty",
            ));
        }
        self.s3.lock().remove(&self.bucket);
        Ok(empty(204))
    }

    fn head_bucket(&self) -> Result<HttpResponse, ErrorResponse> {
        self.authorize("s3:ListBucket", &self.bucket_arn())?;
        let region = self.with_bucket(|bucket| bucket.region.clone())?;
        let mut found = empty(200);
        found.headers_mut().insert("x-amz-bucket-region", region);
        Ok(found)
    }

    fn location(&self) -> Result<HttpResponse, ErrorResponse> {
        self.authorize("s3:GetBucketLocation", &self.bucket_arn())?;
        let region = self.with_bucket(|bucket| bucket.region.clone())?;
        // `LocationConstraint` is empty for us-east-1.
        let region = if region == "us-east-1" {
            String::new()
        } else {
            region
        };
        Ok(document("LocationConstraint", &[Element::bare(region)]))
    }

    fn list_objects(&self) -> Result<HttpResponse, ErrorResponse> {
        let mut list = self.request("s3:ListBucket", &self.bucket_arn())?;
        for name in ["prefix", "delimiter", "max-keys"] {
            let key = format!("s3:{name}");
            list = match self.parameter(name) {
                Some(value) => list.key(key, value),
                None => list.absent(key),
            };
        }
        self.authorize_request(&list)?;
        let is_v2 = self.parameter("list-type") == Some("2");
        let prefix = self.parameter("prefix").unwrap_or_default();
        let delimiter = self.parameter("delimiter").unwrap_or_default();
        let max_keys = match self.parameter("max-keys").map(str::parse::<usize>) {
            None => 1000,
            Some(Ok(max)) => max.min(1000),
            Some(Err(_)) => {
                let message = "Provided max-keys not an integer or within integer range";
                return Err(ErrorResponse::new(400, "InvalidArgument", message));
            }
        };
        let after = match (is_v2, self.parameter("continuation-token")) {
            (true, Some(token)) => After::Listed(read_token(token)?),
            (true, None) => After::Key(self.parameter("start-after").unwrap_or_default()),
            (false, _) => After::Marker(self.parameter("marker").unwrap_or_default()),
        };
        let encode = |text: &str| match self.parameter("encoding-type") {
            Some("url") => {
                percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
                    .to_string()
            }
            _ => text.to_owned(),
        };

        let mut contents = Vec::new();
        let mut prefixes: Vec<String> = Vec::new();
        let mut last = String::new();
        let mut is_truncated = false;
        self.with_bucket(|bucket| {
            for (key, object) in &bucket.objects {
                let Some(rest) = key.strip_prefix(prefix) else {
                    continue;
                };
                let common = match rest.find(delimiter) {
                    Some(at) if !delimiter.is_empty() => {
                        Some(format!("{prefix}{}", &rest[..at + delimiter.len()]))
                    }
                    _ => None,
                };
                let name = common.as_ref().unwrap_or(key);
                if !after.is_before(key, name)
                    || common.is_some() && prefixes.last() == common.as_ref()
                {
                    continue;
                }
                if contents.len() + prefixes.len() == max_keys {
                    is_truncated = max_keys > 0;
                    break;
                }
                last.clone_from(name);
                match common {
                    Some(common) => prefixes.push(common),
                    None => contents.push(Element::parent(
                        "Contents",
                        vec![
                            Element::text("Key", encode(key)),
                            Element::text("LastModified", timestamp(object.modified)),
                            Element::text("ETag", &*object.etag),
                            Element::text("Size", object.data.len().to_string()),
                            Element::text("StorageClass", "STANDARD"),
                        ],
                    )),
                }
            }
        })?;

        let mut elements = vec![
            Element::text("Name", &*self.bucket),
            Element::text("Prefix", encode(prefix)),
            Element::text("MaxKeys", max_keys.to_string()),
            Element::text("IsTruncated", is_truncated.to_string()),
        ];
        if !delimiter.is_empty() {
            elements.push(Element::text("Delimiter", encode(delimiter)));
        }
        if let Some(encoding) = self.parameter("encoding-type") {
            elements.push(Element::text("EncodingType", encoding));
        }
        if is_v2 {
            let count = contents.len() + prefixes.len();
            elements.push(Element::text("KeyCount", count.to_string()));
            if let Some(token) = self.parameter("continuation-token") {
                elements.push(Element::text("ContinuationToken", token));
            }
            if let Some(key) = self.parameter("start-after") {
                elements.push(Element::text("StartAfter", encode(key)));
            }
            if is_truncated {
                let token = base64::encode(&last);
                elements.push(Element::text("NextContinuationToken", token));
            }
        } else {
            let marker = self.parameter("marker").unwrap_or_default();
            elements.push(Element::text("Marker", encode(marker)));
            if is_truncated {
                elements.push(Element::text("NextMarker", encode(&last)));
            }
        }
        elements.extend(contents);
        elements.extend(prefixes.iter().map(|prefix| {
            Element::parent(
                "CommonPrefixes",
                vec![Element::text("Prefix", encode(prefix))],
            )
        }));
        Ok(document("ListBucketResult", &elements))
    }

    fn put_object(&self) -> Result<HttpResponse, ErrorResponse> {
        self.authorize("s3:PutObject", &self.object_arn())?;
        let body = self.request.body().bytes().unwrap_or_default();
        let headers = self.request.headers();
        if let Some(acl) = headers.get("x-amz-acl") {
            self.authorize("s3:PutObjectAcl", &self.object_arn())?;
            // These have no effect, because the bucket owner owns all objects anyway.
            if !["private", "bucket-owner-full-control"].contains(&acl) {
                let message = "The bucket does not allow ACLs";
                return Err(ErrorResponse::new(
                    400,
                    "AccessControlListNotSupported",
                    message,
                ));
            }
        }
        if headers.get("x-amz-tagging").is_some() {
            self.authorize("s3:PutObjectTagging", &self.object_arn())?;
        }
        let encoding = headers.get("x-amz-content-sha256").unwrap_or_default();
        let data = if encoding.starts_with("STREAMING-") {
            chunked::decode(body).ok_or_else(|| {
                let message = "The body of the request is not in chunks as its headers say.";
                ErrorResponse::new(400, "IncompleteBody", message)
            })?
        } else {
            body.to_vec()
        };
        let mut object = Object::new(data, self.s3.clock.now());
        let md5 = || base64::encode(Md5::digest(&object.data));
        if headers
            .get("content-md5")
            .is_some_and(|sent| *sent != *md5())
        {
            let message = "The Content-MD5 you specified did not match what we received.";
            return Err(ErrorResponse::new(400, "BadDigest", message));
        }
        if let Some(content_type) = headers.get("content-type") {
            object.content_type = content_type.to_owned();
        }
        let metadata = headers
            .iter()
            .filter(|(name, _)| name.starts_with("x-amz-meta-"));
        object.metadata = metadata
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let mut stored = empty(200);
        stored.headers_mut().insert("etag", object.etag.clone());
        self.with_bucket(|bucket| {
            self.check_preconditions(bucket.objects.get(&self.key))?;
            bucket.objects.insert(self.key.clone(), object);
            Ok(stored)
        })?
    }

    fn get_object(&self) -> Result<HttpResponse, ErrorResponse> {
        self.authorize("s3:GetObject", &self.object_arn())?;
        let object = self.with_bucket(|bucket| bucket.objects.get(&self.key).cloned())?;
        let Some(object) = object else {
            // Callers who may not list the bucket do not learn whether the object exists.
            self.authorize("s3:ListBucket", &self.bucket_arn())?;
            return Err(no_such_key());
        };
        let at = Some((&*object.etag, object.modified));
        match preconditions::check(self.request.headers(), at, true) {
            Ok(()) => {}
            Err(Unmet::NotModified) => {
                let mut known = empty(304);
                known.headers_mut().insert("etag", object.etag);
                return Ok(known);
            }
            Err(_) => return Err(precondition_failed()),
        }
        let (length, etag) = (object.data.len(), object.etag);
        let range = self.request.headers().get("range");
        let range = match range.and_then(|range| read_range(range, length)) {
            Some(range) if range.is_empty() => {
                let message = "The requested range is not satisfiable";
                return Err(ErrorResponse::new(416, "InvalidRange", message));
            }
            range => range,
        };
        let (status, data) = match &range {
            Some(range) => (206, object.data[range.clone()].to_vec()),
            None => (200, object.data),
        };
        let size = data.len();
        let mut found = empty(status);
        *found.body_mut() = SdkBody::from(data);
        let headers = found.headers_mut();
        headers.insert("content-length", size.to_string());
        headers.insert("content-type", object.content_type);
        headers.insert("accept-ranges", "bytes");
        headers.insert("etag", etag);
        if let Some(range) = range {
            let (start, end) = (range.start, range.end - 1);
            headers.insert("content-range", format!("bytes {start}-{end}/{length}"));
        }
        if let Ok(modified) = DateTime::from(object.modified).fmt(Format::HttpDate) {
            headers.insert("last-modified", modified);
        }
        for (name, value) in object.metadata {
            headers.insert(name, value);
        }
        Ok(found)
    }

    fn delete_object(&self) -> Result<HttpResponse, ErrorResponse> {
        self.authorize("s3:DeleteObject", &self.object_arn())?;
        self.with_bucket(|bucket| {
            self.check_preconditions(bucket.objects.get(&self.key))?;
            bucket.objects.remove(&self.key);
            Ok(empty(204))
        })?
    }

    /// Checks the preconditions of a write against the existing object.
    fn check_preconditions(&self, object: Option<&Object>) -> Result<(), ErrorResponse> {
        let at = object.map(|object| (&*object.etag, object.modified));
        preconditions::check(self.request.headers(), at, false).map_err(|unmet| match unmet {
            Unmet::NoObject => no_such_key(),
            Unmet::Failed | Unmet::NotModified => precondition_failed(),
        })
    }

    /// Checks that the bucket, if it exists, belongs to the account that the request expects.
    fn check_owner(&self) -> Result<(), ErrorResponse> {
        let expected = self.request.headers().get("x-amz-expected-bucket-owner");
        let buckets = self.s3.lock();
        let owner = buckets.get(&self.bucket).map(|bucket| &*bucket.account);
        if expected.is_some() && owner.is_some() && expected != owner {
            return Err(ErrorResponse::access_denied("Access Denied"));
        }
        Ok(())
    }

    fn get_policy(&self) -> Result<HttpResponse, ErrorResponse> {
        self.authorize_policy("s3:GetBucketPolicy")?;
        let policy =
            self.with_bucket(|bucket| bucket.policy.as_ref().map(|(text, _)| text.clone()))?;
        let text = policy.ok_or_else(|| {
            let message = "The bucket policy does not exist";
            ErrorResponse::new(404, "NoSuchBucketPolicy", message)
        })?;
        Ok(response(200, "application/json", text))
    }

    fn put_policy(&self) -> Result<HttpResponse, ErrorResponse> {
        self.authorize_policy("s3:PutBucketPolicy")?;
        let body = self.request.body().bytes().unwrap_or_default();
        let text = String::from_utf8_lossy(body);
        let put = self.s3.put_policy(&self.bucket, &text);
        put.map_err(|error| match error.code() {
            "AccessDenied" => {
                let (user, arn) = (self.caller.arn(), self.bucket_arn());
                ErrorResponse::access_denied(format!(
                    "User: {user} is not authorized to perform: s3:PutBucketPolicy on resource: {arn} {}",
                    error.message()
                ))
            }
            _ => ErrorResponse::new(400, "MalformedPolicy", error.message()),
        })?;
        Ok(empty(204))
    }

    fn delete_policy(&self) -> Result<HttpResponse, ErrorResponse> {
        self.authorize_policy("s3:DeleteBucketPolicy")?;
        self.with_bucket(|bucket| bucket.policy = None)?;
        Ok(empty(204))
    }

    /// Authorizes an operation on the bucket's policy. Only the bucket's account may perform it, and that account's
    /// root user always may.
    fn authorize_policy(&self, action: &str) -> Result<(), ErrorResponse> {
        let owner = self.with_bucket(|bucket| bucket.account.clone())?;
        let is_owner = owner == self.caller.account();
        if is_owner && self.caller.is_root() {
            return Ok(());
        }
        self.authorize(action, &self.bucket_arn())?;
        if !is_owner {
            let message = "The specified method is not allowed against this resource.";
            return Err(ErrorResponse::new(405, "MethodNotAllowed", message));
        }
        Ok(())
    }

    /// Calls `f` with the bucket.
    fn with_bucket<T>(&self, f: impl FnOnce(&mut Bucket) -> T) -> Result<T, ErrorResponse> {
        let mut buckets = self.s3.lock();
        let bucket = buckets.get_mut(&self.bucket).ok_or_else(|| {
            let message = "The specified bucket does not exist";
            ErrorResponse::new(404, "NoSuchBucket", message)
        })?;
        Ok(f(bucket))
    }

    /// Returns a request of the caller on the bucket or an object in it.
    fn request(&self, action: &str, resource: &str) -> Result<AccessRequest, ErrorResponse> {
        let (account, policy) = self.with_bucket(|bucket| {
            let policy = bucket.policy.as_ref();
            let policy = policy.map(|(_, policy)| Arc::clone(policy));
            (bucket.account.clone(), policy)
        })?;
        let request = self.caller.request(action, resource);
        let request = request.key("s3:ResourceAccount", &*account);
        let request = request.resource_account(account).saved_policy(policy);
        Ok(self.with_keys(request))
    }

    /// Sets the condition keys that all requests have in their headers.
    fn with_keys(&self, mut request: AccessRequest) -> AccessRequest {
        const HEADERS: [&str; 6] = [
            "x-amz-acl",
            "x-amz-content-sha256",
            "x-amz-server-side-encryption",
            "x-amz-server-side-encryption-aws-kms-key-id",
            "x-amz-storage-class",
            "x-amz-website-redirect-location",
        ];
        for name in HEADERS {
            let key = format!("s3:{name}");
            request = match self.request.headers().get(name) {
                Some(value) => request.key(key, value),
                None => request.absent(key),
            };
        }
        let is_presigned = self.request.headers().get("authorization").is_none();
        let kind = if is_presigned {
            "REST-QUERY-STRING"
        } else {
            "REST-HEADER"
        };
        request
            .key("s3:authType", kind)
            .key("s3:signatureversion", "AWS4-HMAC-SHA256")
    }

    fn authorize(&self, action: &str, resource: &str) -> Result<(), ErrorResponse> {
        self.authorize_request(&self.request(action, resource)?)
    }

    fn authorize_request(&self, request: &AccessRequest) -> Result<(), ErrorResponse> {
        if request.is_allowed() {
            return Ok(());
        }
        let owner = self.with_bucket(|bucket| bucket.account.clone())?;
        Err(self.denied(request, Some(&owner)))
    }

    /// Returns the error for a denied request. Callers from another account than the bucket's do not learn the reason.
    fn denied(&self, request: &AccessRequest, owner: Option<&str>) -> ErrorResponse {
        if owner.is_some_and(|owner| owner != self.caller.account()) {
            ErrorResponse::access_denied("Access Denied")
        } else {
            ErrorResponse::access_denied(request.refusal())
        }
    }

    fn bucket_arn(&self) -> String {
        format!("arn:{}:s3:::{}", self.caller.partition(), self.bucket)
    }

    fn object_arn(&self) -> String {
        format!("{}/{}", self.bucket_arn(), self.key)
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        let mut found = self.query.iter().filter(|(key, _)| key == name);
        found.next().map(|(_, value)| value.as_str())
    }
}

/// Where a listing of objects starts.
enum After<'a> {
    /// After the last entry of the previous page: a key, or the keys with a common prefix.
    Listed(String),
    /// After a key, or after the keys with this common prefix.
    Marker(&'a str),
    /// After a key.
    Key(&'a str),
}

impl After<'_> {
    /// Whether a key comes after the start; `name` is the key, or the common prefix that represents it.
    fn is_before(&self, key: &str, name: &str) -> bool {
        match self {
            Self::Listed(listed) => name > listed.as_str(),
            Self::Marker(marker) => key > *marker && name != *marker,
            Self::Key(after) => key > *after,
        }
    }
}

fn read_token(token: &str) -> Result<String, ErrorResponse> {
    let text = base64::decode(token).ok();
    text.and_then(|text| String::from_utf8(text).ok())
        .ok_or_else(|| {
            let message = "The continuation token provided is incorrect";
            ErrorResponse::new(400, "InvalidArgument", message)
        })
}

/// Reads `bytes=<first>-<last>`. Returns an empty range if it is not satisfiable, and `None` if it must be ignored.
fn read_range(range: &str, length: usize) -> Option<std::ops::Range<usize>> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (start, end) = match (first, last) {
        ("", last) => (length.saturating_sub(last.parse().ok()?), length),
        (first, "") => (first.parse().ok()?, length),
        (first, last) => {
            let last: usize = last.parse().ok()?;
            (first.parse().ok()?, last.saturating_add(1).min(length))
        }
    };
    Some(if start < end { start..end } else { 0..0 })
}

fn no_such_key() -> ErrorResponse {
    ErrorResponse::new(404, "NoSuchKey", "The specified key does not exist.")
}

fn precondition_failed() -> ErrorResponse {
    let message = "At least one of the pre-conditions you specified did not hold";
    ErrorResponse::new(412, "PreconditionFailed", message)
}

fn not_implemented(what: &str) -> ErrorResponse {
    let message = format!("the simulator's S3 does not support {what}");
    ErrorResponse::new(501, "NotImplemented", message)
}

fn document(root: &str, elements: &[Element]) -> HttpResponse {
    let body = xml(Some(NAMESPACE), root, elements);
    response(200, "application/xml", body)
}

/// Returns a response without a body.
fn empty(status: u16) -> HttpResponse {
    response(status, "application/xml", String::new())
}
