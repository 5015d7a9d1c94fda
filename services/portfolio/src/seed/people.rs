//! The students of the demo school.

/// A student before the account exists.
#[derive(Clone, Copy)]
pub struct Student {
    pub username: &'static str,
    pub nama: &'static str,
    /// Index into [`super::school::KELAS`].
    pub kelas: usize,
}

const fn student(username: &'static str, nama: &'static str, kelas: usize) -> Student {
    Student { username, nama, kelas }
}

pub const STUDENTS: [Student; 30] = [
    student("siti_aminah", "Siti Aminah", 0),
    student("budi_santoso", "Budi Santoso", 0),
    student("ahmad_fauzi", "Ahmad Fauzi", 0),
    student("dewi_lestari", "Dewi Lestari", 0),
    student("rizky_pratama", "Rizky Pratama", 0),
    student("putri_ayu", "Putri Ayu Wulandari", 0),
    student("yoga_saputra", "Yoga Saputra", 0),
    student("nadia_safitri", "Nadia Safitri", 0),
    student("agus_setiawan", "Agus Setiawan", 1),
    student("intan_permata", "Intan Permata Sari", 1),
    student("bayu_nugroho", "Bayu Nugroho", 1),
    student("fitri_handayani", "Fitri Handayani", 1),
    student("dimas_aditya", "Dimas Aditya", 1),
    student("lina_marlina", "Lina Marlina", 1),
    student("hendra_wijaya", "Hendra Wijaya", 1),
    student("maya_anggraini", "Maya Anggraini", 1),
    student("eko_prasetyo", "Eko Prasetyo", 2),
    student("rina_kartika", "Rina Kartika", 2),
    student("fajar_ramadhan", "Fajar Ramadhan", 2),
    student("wulan_sari", "Wulan Sari", 2),
    student("galih_permana", "Galih Permana", 2),
    student("tika_rahmawati", "Tika Rahmawati", 2),
    student("ilham_maulana", "Ilham Maulana", 2),
    student("sekar_arum", "Sekar Arum Kinasih", 3),
    student("joko_susilo", "Joko Susilo", 3),
    student("anisa_rahma", "Anisa Rahma", 3),
    student("reza_firmansyah", "Reza Firmansyah", 3),
    student("citra_dewi", "Citra Dewi", 3),
    student("adi_kurniawan", "Adi Kurniawan", 3),
    student("melati_puspita", "Melati Puspita", 3),
];
