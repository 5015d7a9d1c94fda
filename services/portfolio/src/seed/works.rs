//! What the students of the demo school have made: two works each, in all five states.

use super::people::STUDENTS;

/// Where a work stands in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Draft,
    PendingReview,
    Rejected,
    Published,
    Archived,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::PendingReview => "pending_review",
            Self::Rejected => "rejected",
            Self::Published => "published",
            Self::Archived => "archived",
        }
    }
}

/// A portfolio before it exists.
pub struct Work {
    /// Index into [`STUDENTS`].
    pub owner: usize,
    pub judul: String,
    /// Indexes into [`super::school::TAGS`].
    pub tags: &'static [usize],
    pub text: &'static str,
    pub picture: &'static Picture,
    pub state: State,
}

pub struct Picture {
    pub filename: &'static str,
    pub caption: &'static str,
    pub bytes: &'static [u8],
}

macro_rules! picture {
    ($filename:literal, $caption:literal) => {
        Picture { filename: $filename, caption: $caption, bytes: include_bytes!(concat!("pictures/", $filename)) }
    };
}

/// Drawn for this repository.
static PICTURES: [Picture; 6] = [
    picture!("website.jpg", "Rancangan halaman depan"),
    picture!("laporan.jpg", "Grafik hasil pengukuran"),
    picture!("sirkuit.jpg", "Papan rangkaian yang sudah jadi"),
    picture!("pegunungan.jpg", "Ilustrasi latar pagi hari"),
    picture!("poster.jpg", "Komposisi akhir poster"),
    picture!("batik.jpg", "Motif yang dipakai"),
];

struct Subject {
    judul: &'static str,
    tags: &'static [usize],
    picture: usize,
    text: &'static str,
}

/// Three subjects per class, in the order of [`super::school::KELAS`].
const SUBJECTS: [[Subject; 3]; 4] = [
    [
        Subject {
            judul: "Website Perpustakaan Sekolah",
            tags: &[0, 4],
            picture: 0,
            text: "<h2>Latar belakang</h2><p>Peminjaman buku di sekolah masih dicatat di kertas. Saya membuat website \
                   yang mencatat peminjaman, mengingatkan tanggal kembali, dan menampilkan buku terpopuler.</p>\
                   <h2>Yang saya pelajari</h2><ul><li>merancang basis data</li><li>menguji formulir bersama \
                   pustakawan</li></ul>",
        },
        Subject {
            judul: "Aplikasi Kasir Kantin",
            tags: &[1],
            picture: 1,
            text: "<p>Aplikasi kasir untuk kantin sekolah: daftar menu, penghitungan kembalian, dan <strong>laporan \
                   harian</strong> yang dibaca pengelola di ponselnya.</p>",
        },
        Subject {
            judul: "Pengingat Tugas Kelas",
            tags: &[1, 4],
            picture: 3,
            text: "<p>Bot yang mengirim pengingat tugas setiap sore. Jadwal diambil dari kalender kelas sehingga tidak \
                   perlu diketik dua kali.</p>",
        },
    ],
    [
        Subject {
            judul: "Toko Daring Kerajinan Lokal",
            tags: &[0],
            picture: 0,
            text: "<p>Katalog daring untuk perajin di sekitar sekolah. Gambar dimuat seperlunya supaya halaman tetap \
                   ringan di jaringan yang lambat.</p>",
        },
        Subject {
            judul: "Dasbor Cuaca dari Data Terbuka",
            tags: &[0, 4],
            picture: 1,
            text: "<p>Data cuaca terbuka diolah menjadi grafik harian. Bagian tersulit adalah <em>menangani data yang \
                   hilang</em>, jadi saya menulis pengujian untuk setiap kasus.</p>",
        },
        Subject {
            judul: "Permainan Edukasi Matematika",
            tags: &[1],
            picture: 4,
            text: "<p>Permainan berhitung untuk siswa SD. Tingkat kesulitan naik setelah lima jawaban benar \
                   berturut-turut.</p>",
        },
    ],
    [
        Subject {
            judul: "Alat Penyiram Tanaman Otomatis",
            tags: &[2],
            picture: 2,
            text: "<h2>Rangkaian</h2><p>Sensor kelembapan tanah dibaca setiap sepuluh menit. Pompa menyala bila tanah \
                   kering dan berhenti sendiri.</p>",
        },
        Subject {
            judul: "Jaringan Laboratorium Baru",
            tags: &[2],
            picture: 1,
            text: "<p>Perencanaan, pemasangan kabel, dan pengukuran kecepatan jaringan di laboratorium dengan 36 \
                   komputer.</p>",
        },
        Subject {
            judul: "Pemantau Suhu Ruang Server",
            tags: &[2, 4],
            picture: 2,
            text: "<p>Mikrokontroler mengirim suhu ruang server setiap menit dan memberi peringatan bila di atas 28 \
                   derajat.</p>",
        },
    ],
    [
        Subject {
            judul: "Poster Kampanye Hemat Air",
            tags: &[3, 5],
            picture: 4,
            text: "<p>Seri tiga poster untuk koridor sekolah. Saya membandingkan dua palet warna dengan meminta \
                   pendapat 40 siswa.</p>",
        },
        Subject {
            judul: "Motif Batik Kontemporer",
            tags: &[3, 5],
            picture: 5,
            text: "<p>Motif batik dengan bentuk dasar bunga kawung yang disederhanakan, digambar sebagai vektor supaya \
                   dapat dicetak pada kain.</p>",
        },
        Subject {
            judul: "Ilustrasi Buku Cerita Anak",
            tags: &[3],
            picture: 3,
            text: "<p>Dua belas halaman ilustrasi untuk cerita rakyat daerah, dari sketsa pensil sampai warna \
                   digital.</p>",
        },
    ],
];

/// Every work: sixty of them, more than half of them published.
pub fn works() -> impl Iterator<Item = Work> {
    STUDENTS.iter().enumerate().flat_map(|(owner, student)| {
        (0..2).map(move |nth| {
            let number = owner * 2 + nth;
            let subject = &SUBJECTS[student.kelas][(owner + nth) % 3];
            Work {
                owner,
                judul: subject.judul.to_owned(),
                tags: subject.tags,
                text: subject.text,
                picture: &PICTURES[subject.picture],
                state: state(number),
            }
        })
    })
}

fn state(number: usize) -> State {
    match number % 10 {
        1 => State::Draft,
        3 => State::PendingReview,
        6 => State::Rejected,
        8 => State::Archived,
        _ => State::Published,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{super::school, *};

    #[test]
    fn sixty_works_are_in_all_five_states() {
        let works: Vec<Work> = works().collect();
        assert_eq!(works.len(), 60);
        for state in [State::Draft, State::PendingReview, State::Rejected, State::Published, State::Archived] {
            let count = works.iter().filter(|work| work.state == state).count();
            assert!(count >= 6, "{state:?}: {count}");
        }
    }

    #[test]
    fn nobody_has_two_works_of_one_name() {
        let mut seen = HashSet::new();
        assert!(works().all(|work| seen.insert((work.owner, work.judul))));
    }

    #[test]
    fn every_reference_resolves() {
        assert!(works().all(|work| work.tags.iter().all(|&tag| tag < school::TAGS.len())));
        assert!(STUDENTS.iter().all(|student| student.kelas < school::KELAS.len()));
        assert!(PICTURES.iter().all(|picture| picture.bytes.len() < 15_000));
    }
}
