//! A proxy between programs and a server that counts the calls to STS, for the tests of the program.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Listens on a port of its own and forwards connections to the server, until the process ends.
pub struct Proxy {
    port: u16,
    sent: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Proxy {
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own_port = listener.local_addr().unwrap().port();
        let sent: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let all = sent.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
                let number = {
                    let mut all = all.lock().unwrap();
                    all.push(Vec::new());
                    all.len() - 1
                };
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let all = all.clone();
                std::thread::spawn(move || {
                    forward(from, to, |bytes| all.lock().unwrap()[number].extend(bytes));
                });
                std::thread::spawn(move || forward(server, client, |_| {}));
            }
        });
        Self {
            port: own_port,
            sent,
        }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns how many calls of an action were sent to STS.
    pub fn calls(&self, action: &str) -> usize {
        self.seen(&format!("Action={action}&"))
    }

    /// Returns how often a text was sent to the server.
    pub fn seen(&self, asked: &str) -> usize {
        let sent = self.sent.lock().unwrap();
        sent.iter()
            .map(|sent| {
                sent.windows(asked.len())
                    .filter(|part| *part == asked.as_bytes())
                    .count()
            })
            .sum()
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, see: impl Fn(&[u8])) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        // Counted before it is forwarded, so every call that was answered is counted.
        see(&buffer[..read]);
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
