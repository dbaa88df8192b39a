//! The targets on made inputs, without libFuzzer.

/// Bytes that look like what the targets know, now and then.
fn input(rng: &mut fastrand::Rng) -> Vec<u8> {
    let words: [&[u8]; 10] = [
        b"\n",
        b"\r",
        b"step 12 loss 1.5\n",
        b"Traceback (most recent call last):\n",
        b"  File \"a.py\", line 3\n",
        b"\x0f\0\0\0\x01\x01",
        b"\x16\0\0\0\x01\x03",
        b"lastline",
        b"{\"ranks\":[]}",
        b"\xff\0",
    ];
    let mut bytes = Vec::new();
    for _ in 0..rng.usize(0..30) {
        match rng.u8(0..3) {
            0 => bytes.push(rng.u8(..)),
            _ => bytes.extend_from_slice(words[rng.usize(0..words.len())]),
        }
    }
    bytes
}

#[test]
fn nothing_panics_on_made_inputs() {
    for seed in 0..2000 {
        let input = input(&mut fastrand::Rng::with_seed(seed));
        lastline_fuzz::wire(&input);
        lastline_fuzz::lines(&input);
        lastline_fuzz::fold(&input);
        lastline_fuzz::report(&input);
    }
}
