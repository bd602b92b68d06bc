//! The content encoding `aws-chunked`: a body in chunks, interleaved with signatures and checksums.

/// Decodes a chunked body; `None` if it is malformed or truncated. Chunk signatures and trailing checksums are not
/// checked.
pub(super) fn decode(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    loop {
        let line = take_line(&mut body)?;
        // The size may be followed by `;chunk-signature=…`.
        let size = std::str::from_utf8(line).ok()?.split(';').next()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        if size == 0 {
            return Some(content);
        }
        let (chunk, rest) = body.split_at_checked(size)?;
        content.extend_from_slice(chunk);
        body = rest.strip_prefix(b"\r\n")?;
    }
}

/// Removes the first line from `text` and returns it without its line break.
fn take_line<'a>(text: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = text.windows(2).position(|end| end == b"\r\n")?;
    let (line, rest) = text.split_at(end);
    *text = &rest[2..];
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn the_content_of_chunks_is_joined_and_a_damaged_body_is_refused() {
        let whole = b"5;chunk-signature=ab\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:AA==\r\n\r\n";
        assert_eq!(decode(whole).as_deref(), Some(&b"hello world"[..]));
        for cut in 0..whole.len() - 32 {
            assert_eq!(decode(&whole[..cut]), None, "{cut}");
        }
        let wrong: [&[u8]; 4] = [
            b"",
            b"hello",
            b"5\r\nhello world\r\n0\r\n\r\n",
            b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        ];
        for body in wrong {
            assert_eq!(decode(body), None);
        }
    }
}
