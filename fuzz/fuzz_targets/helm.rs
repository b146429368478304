#![no_main]
//! Release records of Helm: as they lie there, and what is in their base64.

use snapback::execute::helm::record::Record;

libfuzzer_sys::fuzz_target!(|field: &[u8]| {
    use base64::Engine;
    let packed = base64::engine::general_purpose::STANDARD.encode(field);
    for record in [Record::unpack(field), Record::unpack(packed.as_bytes())].into_iter().flatten() {
        std::hint::black_box((record.release_id(), record.objects(), record.status(), record.hooks_of_rollback()));
    }
});
