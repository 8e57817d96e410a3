// SPDX-License-Identifier: Apache-2.0
// Reads the file of a KeptLog without LMDB. LMDB maps its file and believes what is in it: where the file is shorter
// than it says, or a page number is wrong, the process dies by SIGBUS or SIGSEGV. Here every byte comes from pread(),
// and every number in it is checked before it is used, so that a file that passes can be given to LMDB, and what is
// left of one that does not can be read.
//
// Format: data version 1 of LMDB 0.9 (mdb.c), in the machine's word size and byte order.
// Threads: any; nobody may write the file meanwhile.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tailgate {

struct KeptFile {
  struct Record {
    std::uint64_t number = 0, at = 0, bytes = 0;  // where it is in the file
  };
  std::string fault;             // the first that was found; empty: the file is sound
  std::uint64_t unreadable = 0;  // records that are known to have been there
  // Of a file with a fault: what can be read, by number. Those below a page that cannot be read were found by looking
  // for records on every page that nothing else uses.
  std::vector<Record> records;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> marks;  // number of a record, mark
};

// Looks at every page in use, and at the first one of each large record. `fd`: the file, of `file_bytes`.
KeptFile look_through(int fd, std::uint64_t file_bytes);

// Nothing when the file cannot be read there.
std::optional<std::string> read_record(int fd, const KeptFile::Record& record);

}  // namespace tailgate
