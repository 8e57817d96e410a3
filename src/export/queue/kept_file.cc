// SPDX-License-Identifier: Apache-2.0
#include "export/queue/kept_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <set>
#include <string_view>

#include "base/bytes.h"
#include "export/queue/kept_record.h"

namespace tailgate {
namespace {

//  page:  number 8 | pad 2 | flags 2 | lower 2, upper 2 (or, of a large record, pages 4) | offsets of nodes, 2 each ...
//         ... nodes, from `upper` to the end
//  node:  low 2 | high 2 | flags 2 | bytes of the key 2 | key | data
//         leaf: low and high are the bytes of the data; branch: with the flags they are the number of the page below
//  large record: the node's data is the number of its first page, on which it follows the header
//  meta:  magic 4 | version 4 | address 8 | map 8 | database of free pages 48 | main database 48 | last page 8 | txn 8
//  database: pad 4 (of the first: bytes of a page) | flags 2 | depth 2 | 4 counts, 8 each | number of the root page 8
constexpr std::size_t kHeader = 16, kNode = 8, kDatabase = 48;
constexpr std::size_t kMetaFree = 24, kMetaMain = 72, kMetaLast = 120, kMetaTxn = 128, kMetaEnd = 136;
constexpr std::uint32_t kMagic = 0xBEEFC0DE, kVersion = 1;
enum PageFlag : std::uint16_t {
  kBranch = 0x01,
  kLeaf = 0x02,
  kLarge = 0x04,
  kMeta = 0x08,
  kDirty = 0x10,
  kSubPage = 0x62
};
enum NodeFlag : std::uint16_t { kBigData = 0x01, kSubDatabase = 0x02, kDuplicates = 0x04 };
enum DatabaseFlag : std::uint16_t { kIntegerKeys = 0x08, kMarkFlags = 0x3c };
constexpr std::uint64_t kNoPage = ~std::uint64_t{0};
constexpr std::size_t kTreeDepthMax = 32;  // LMDB's own

template <class T>
T get(const char* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

bool read_at(int fd, std::uint64_t at, char* out, std::size_t bytes) {
  while (bytes != 0) {
    const ssize_t n = ::pread(fd, out, bytes, static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    at += static_cast<std::uint64_t>(n);
    out += n;
    bytes -= static_cast<std::size_t>(n);
  }
  return true;
}

struct Node {
  std::uint16_t flags = 0;
  std::string_view key;
  std::string_view data;    // of a leaf, in its page
  std::uint64_t bytes = 0;  // of a leaf's data
  std::uint64_t page = 0;   // of a branch
  std::uint64_t at = 0;     // of `data`, in the page
};

struct LmdbDatabase {
  std::uint16_t flags = 0, depth = 0;
  std::uint64_t root = kNoPage;
  explicit LmdbDatabase(const char* p)
      : flags(get<std::uint16_t>(p + 4)), depth(get<std::uint16_t>(p + 6)), root(get<std::uint64_t>(p + 40)) {}
};

// The nodes of a page of a tree, in order; nothing when a number in the page is wrong.
std::optional<std::vector<Node>> nodes_of(std::string_view page, bool leaf) {
  const auto lower = get<std::uint16_t>(page.data() + 12), upper = get<std::uint16_t>(page.data() + 14);
  if (lower < kHeader || lower > upper || upper > page.size() || lower % 2 != 0) return std::nullopt;
  std::vector<Node> nodes((lower - kHeader) / 2);
  std::size_t used = 0;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const std::size_t at = get<std::uint16_t>(page.data() + kHeader + 2 * i);
    if (at < upper || at + kNode > page.size()) return std::nullopt;
    const char* const p = page.data() + at;
    Node& node = nodes[i];
    const std::uint64_t low = get<std::uint16_t>(p), high = get<std::uint16_t>(p + 2);
    const std::size_t key = get<std::uint16_t>(p + 6);
    node.flags = get<std::uint16_t>(p + 4);
    node.bytes = low | high << 16;
    node.page = node.bytes | std::uint64_t{node.flags} << 32;
    const std::uint64_t inside = !leaf ? 0 : (node.flags & kBigData) != 0 ? 8 : node.bytes;
    const std::uint64_t size = kNode + key + inside;
    if (at + size > page.size()) return std::nullopt;
    node.key = page.substr(at + kNode, key);
    node.at = at + kNode + key;
    node.data = page.substr(node.at, inside);
    used += size + size % 2;
  }
  if (used != page.size() - upper) return std::nullopt;
  return nodes;
}

class Walk {
 public:
  Walk(int fd, std::uint64_t file_bytes) : fd_(fd), file_bytes_(file_bytes) {}

  KeptFile run() {
    const std::vector<std::string> metas = find_metas();
    if (!metas.empty()) walk_from(metas.front(), true);
    if (out_.fault.empty()) return {};
    // LMDB changes no page of the state before the last commit either, so what that still has is taken too.
    collect_ = true;
    std::vector<bool> in_trees;
    for (const std::string& meta : metas) {
      walk_from(meta, &meta == &metas.front());  // what was free before the last commit may be in use now
      in_trees.resize(used_.size());
      for (std::size_t i = 0; i < used_.size(); ++i) in_trees[i] = in_trees[i] || (used_[i] && !free_[i]);
    }
    used_ = std::move(in_trees);
    sort_out();
    look_for_orphans();
    sort_out();
    for (const KeptFile::Record& record : out_.records) missing_.erase(record.number);
    out_.unreadable = missing_.size();
    return std::move(out_);
  }

 private:
  void fault(std::string_view what, std::uint64_t page) {
    if (out_.fault.empty()) out_.fault = fmt::format("page {} is damaged ({})", page, what);
  }

  std::optional<std::string> meta_at(std::uint64_t at) const {
    std::string page(kHeader + kMetaEnd, '\0');
    if (at + page.size() > file_bytes_ || !read_at(fd_, at, page.data(), page.size())) return std::nullopt;
    const std::string meta = page.substr(kHeader);
    const std::size_t bytes = get<std::uint32_t>(meta.data() + kMetaFree);
    const bool good = (get<std::uint16_t>(page.data() + 10) & kMeta) != 0 &&
                      get<std::uint32_t>(meta.data()) == kMagic && get<std::uint32_t>(meta.data() + 4) == kVersion &&
                      std::has_single_bit(bytes) && bytes >= 512 && bytes <= 65536 && (at == 0 || at == bytes);
    return good ? std::optional(meta) : std::nullopt;
  }

  // The newest first.
  std::vector<std::string> find_metas() {
    if (file_bytes_ == 0) {
      out_.fault = "the file is empty";
      return {};
    }
    const auto page_of = [](const std::string& meta) { return get<std::uint32_t>(meta.data() + kMetaFree); };
    const auto txn_of = [](const std::string& meta) { return get<std::uint64_t>(meta.data() + kMetaTxn); };
    std::optional<std::string> first = meta_at(0), second;
    for (std::size_t bytes = 512; bytes <= 65536 && !second; bytes *= 2) second = meta_at(bytes);
    if (first && second && page_of(*first) != page_of(*second)) first.reset();
    if (!first) fault("the first meta page", 0);
    if (!second) fault("the second meta page", 1);
    std::vector<std::string> metas;
    if (first) metas.push_back(*first);
    if (second) metas.push_back(*second);
    newest_lost_ = true;
    if (metas.empty()) return {};
    page_ = page_of(metas.front());
    if (metas.size() < 2) return metas;
    // Each commit writes one of them in turn.
    const std::uint64_t even = txn_of(metas[0]), odd = txn_of(metas[1]);
    const bool in_turn = even % 2 == 0 && (odd % 2 == 1 || odd == 0) && std::max(even, odd) - std::min(even, odd) <= 1;
    if (!in_turn) fault("the numbers of its commits", 0);
    newest_lost_ = !in_turn;
    if (odd > even) std::swap(metas[0], metas[1]);
    return metas;
  }

  void walk_from(const std::string& meta, bool newest) {
    last_ = get<std::uint64_t>(meta.data() + kMetaLast);
    seen_ = 1;
    used_.assign(std::max<std::uint64_t>(file_bytes_ / page_, 2), false);
    used_[0] = used_[1] = true;
    free_.resize(used_.size());
    databases(LmdbDatabase(meta.data() + kMetaMain));
    if (newest) free_pages(LmdbDatabase(meta.data() + kMetaFree), get<std::uint64_t>(meta.data() + kMetaTxn));
    if (last_ >= std::max<std::uint64_t>(used_.size(), seen_ + 1)) fault("the number of the last page", 0);
  }

  // By number; of several with the same, the one that was found first.
  void sort_out() {
    const auto by_number = [](const auto& a, const auto& b) { return a.number < b.number; };
    const auto same = [](const auto& a, const auto& b) { return a.number == b.number; };
    std::stable_sort(out_.records.begin(), out_.records.end(), by_number);
    out_.records.erase(std::unique(out_.records.begin(), out_.records.end(), same), out_.records.end());
    std::sort(out_.marks.begin(), out_.marks.end());
    out_.marks.erase(std::unique(out_.marks.begin(), out_.marks.end()), out_.marks.end());
  }

  // A page of that number, used by nothing else.
  std::optional<std::string> take(std::uint64_t number) {
    if (number > last_ || number >= used_.size()) {
      fault(number <= last_ ? "the file ends before it" : "it is after the last", number);
      return std::nullopt;
    }
    std::string page(page_, '\0');
    if (used_[number] || !read_at(fd_, number * page_, page.data(), page_) ||
        get<std::uint64_t>(page.data()) != number) {
      fault(used_[number] ? "it is used twice" : "it is another", number);
      return std::nullopt;
    }
    used_[number] = true;
    seen_ = std::max(seen_, number);
    return page;
  }

  // Calls on_leaf(page, nodes) for every leaf that can be read. Keys go up, and lie between those of the branch.
  template <class Leaf>
  void tree(std::uint64_t number, std::size_t depth, std::size_t depth_left, std::uint64_t& next_key,
            std::uint64_t end_key, const Leaf& on_leaf) {
    const std::optional<std::string> page = take(number);
    if (!page) return;
    const auto flags = get<std::uint16_t>(page->data() + 10);
    const bool leaf = flags == kLeaf;
    const auto nodes = leaf || flags == kBranch ? nodes_of(*page, leaf) : std::nullopt;
    if (!nodes || nodes->empty() || leaf != (depth_left == 1)) fault("its nodes", number);
    if (!nodes || depth > kTreeDepthMax) return;
    for (std::size_t i = 0; i < nodes->size(); ++i) {
      const Node& node = (*nodes)[i];
      const bool keyless = !leaf && i == 0;
      if (node.key.size() != sizeof next_key && !keyless) {
        fault("a key", number);
        continue;
      }
      const std::uint64_t key = keyless ? next_key : get<std::uint64_t>(node.key.data());
      if (key < next_key || key >= end_key) fault("the order of its keys", number);
      if (leaf) {
        next_key = key + 1;
        continue;
      }
      std::uint64_t end = end_key, from = key;
      if (i + 1 < nodes->size() && (*nodes)[i + 1].key.size() == sizeof end)
        end = get<std::uint64_t>((*nodes)[i + 1].key.data());
      tree(node.page, depth + 1, depth_left - 1, from, end, on_leaf);
      next_key = std::max(next_key, key);
    }
    if (leaf) on_leaf(number, *nodes);
  }

  template <class Leaf>
  void walk(const LmdbDatabase& db, std::uint16_t flags, std::string_view name, const Leaf& on_leaf) {
    if (db.flags != flags || (db.root == kNoPage) != (db.depth == 0)) fault(name, 0);
    std::uint64_t next_key = 0;
    if (db.root != kNoPage) tree(db.root, 1, db.depth, next_key, kNoPage, on_leaf);
  }

  // Where a leaf's data is in the file; nothing when its pages are damaged.
  std::optional<KeptFile::Record> data_of(std::uint64_t number, const Node& node) {
    if ((node.flags & kBigData) == 0) return KeptFile::Record{0, number * page_ + node.at, node.bytes};
    const auto first = get<std::uint64_t>(node.data.data());
    const std::uint64_t pages = (kHeader - 1 + node.bytes) / page_ + 1;
    if (first > last_ || pages > used_.size() || first > used_.size() - pages) {
      fault("the file ends before its data", number);
      return std::nullopt;
    }
    char header[kHeader];
    const auto in_use = used_.begin() + static_cast<std::ptrdiff_t>(first);
    const bool good = read_at(fd_, first * page_, header, kHeader) && get<std::uint64_t>(header) == first &&
                      get<std::uint16_t>(header + 10) == kLarge && get<std::uint32_t>(header + 12) == pages &&
                      std::none_of(in_use, in_use + static_cast<std::ptrdiff_t>(pages), [](bool used) { return used; });
    if (!good) {
      fault("its data", first);
      return std::nullopt;
    }
    std::fill(in_use, in_use + static_cast<std::ptrdiff_t>(pages), true);
    seen_ = std::max(seen_, first + pages - 1);
    return KeptFile::Record{0, first * page_ + kHeader, node.bytes};
  }

  void databases(const LmdbDatabase& main) {
    std::optional<std::string> page;
    if (main.root == kNoPage && main.depth == 0) return;  // as LMDB makes a file
    if (main.depth == 1 && main.flags == 0) page = take(main.root);
    const auto nodes = page && get<std::uint16_t>(page->data() + 10) == kLeaf ? nodes_of(*page, true) : std::nullopt;
    if (!nodes) return fault("the names of the databases", main.root);
    for (const Node& node : *nodes) {
      const bool records = node.key == "records";
      if (node.flags != kSubDatabase || node.bytes != kDatabase || (!records && node.key != "marks")) {
        fault("the names of the databases", main.root);
      } else if (records) {
        walk(LmdbDatabase(node.data.data()), kIntegerKeys, "the database of records",
             [this](auto number, const auto& leaf) { take_records(number, leaf); });
      } else {
        walk(LmdbDatabase(node.data.data()), kMarkFlags, "the database of marks",
             [this](auto number, const auto& leaf) { take_marks(number, leaf); });
      }
    }
  }

  void take_records(std::uint64_t number, const std::vector<Node>& leaf) {
    for (const Node& node : leaf) {
      if (node.key.size() != sizeof(std::uint64_t)) continue;
      std::optional<KeptFile::Record> found;
      if ((node.flags & ~kBigData) == 0) {
        found = data_of(number, node);
      } else {
        fault("its nodes", number);
      }
      if (!collect_) continue;
      const auto key = get<std::uint64_t>(node.key.data());
      if (found) out_.records.push_back({key, found->at, found->bytes});
      if (!found) missing_.insert(key);
    }
  }

  // A mark alone is the node's data; several are a page inside it.
  void take_marks(std::uint64_t number, const std::vector<Node>& leaf) {
    for (const Node& node : leaf) {
      if (node.key.size() != sizeof(std::uint64_t)) continue;
      std::string_view marks = node.data;
      if (node.flags == kDuplicates && marks.size() >= kHeader) {
        const auto lower = get<std::uint16_t>(marks.data() + 12), upper = get<std::uint16_t>(marks.data() + 14);
        const std::size_t bytes = lower < kHeader ? marks.size() : (lower - kHeader) / 2 * sizeof(std::uint64_t);
        const bool good = (get<std::uint16_t>(marks.data() + 10) & ~kDirty) == kSubPage &&
                          get<std::uint16_t>(marks.data() + 8) == 8 && lower <= upper && upper <= marks.size() &&
                          kHeader + bytes <= marks.size();
        marks = good ? marks.substr(kHeader, bytes) : std::string_view();
      } else if (node.flags != 0 || marks.size() != sizeof(std::uint64_t)) {
        marks = {};
      }
      if (marks.empty()) fault("its marks", number);
      if (!collect_) continue;
      for (; !marks.empty(); marks.remove_prefix(sizeof(std::uint64_t)))
        out_.marks.emplace_back(get<std::uint64_t>(node.key.data()), get<std::uint64_t>(marks.data()));
    }
  }

  // By transaction, a count and as many page numbers, descending.
  void free_pages(const LmdbDatabase& db, std::uint64_t txn) {
    walk(db, kIntegerKeys, "the list of free pages", [&](auto number, const auto& leaf) {
      for (const Node& node : leaf) {
        if (node.key.size() != sizeof txn) continue;
        std::optional<std::string> list;
        if (const auto at = data_of(number, node)) list = read_record(fd_, *at);
        const std::uint64_t count = list && list->size() >= 8 ? get<std::uint64_t>(list->data()) : kNoPage;
        if (count > kNoPage / 16 || list->size() < 8 * (count + 1) || get<std::uint64_t>(node.key.data()) > txn) {
          fault("its list of free pages", number);
          continue;
        }
        std::uint64_t above = last_ + 1;
        for (std::uint64_t i = 1; i <= count; ++i) {
          const auto page = get<std::uint64_t>(list->data() + 8 * i);
          const bool taken = page < used_.size() && used_[page];
          if (page < 2 || page >= above || taken) fault("its list of free pages", number);
          if (page < used_.size()) used_[page] = true;
          if (page < used_.size() && !taken) free_[page] = true;
          above = page;
          seen_ = std::max(seen_, std::min(page, last_));
        }
      }
    });
  }

  // Records below a page that is damaged: on pages that are neither used nor free. And where the last commit may be
  // lost, its records, which may be on pages that were free before it: their numbers are above all others.
  void look_for_orphans() {
    used_.resize(file_bytes_ / page_);
    free_.resize(used_.size());
    last_ = used_.size();
    const std::uint64_t newest = out_.records.empty() ? 0 : out_.records.back().number;
    std::string page(page_, '\0');
    for (std::uint64_t number = 0; number < used_.size(); ++number) {
      if (used_[number] || (free_[number] && !newest_lost_)) continue;
      if (!read_at(fd_, number * page_, page.data(), page_) || get<std::uint64_t>(page.data()) != number ||
          get<std::uint16_t>(page.data() + 10) != kLeaf)
        continue;
      const auto nodes = nodes_of(page, true);
      if (!nodes) continue;
      for (const Node& node : *nodes) {
        if (node.key.size() != sizeof(std::uint64_t) || (node.flags & ~kBigData) != 0) continue;
        const auto key = get<std::uint64_t>(node.key.data());
        if (free_[number] && key <= newest) continue;
        std::optional<KeptFile::Record> found = data_of(number, node);
        if (!found) continue;
        found->number = key;
        const std::optional<std::string> bytes = read_record(fd_, *found);
        if (bytes && read_kept_record(*bytes, false)) out_.records.push_back(*found);
      }
    }
  }

  const int fd_;
  const std::uint64_t file_bytes_;
  std::size_t page_ = 4096;
  std::uint64_t last_ = 0, seen_ = 1;  // page numbers: the last there is, the last in use
  std::vector<bool> used_;             // by page of the file, by what has been looked at
  std::vector<bool> free_;             // by page: it is in a list of free pages
  bool newest_lost_ = false;           // the meta page of the last commit may be the damaged one
  bool collect_ = false;               // a fault was found: what can be read is wanted
  std::set<std::uint64_t> missing_;    // numbers of records whose data cannot be read
  KeptFile out_;
};

}  // namespace

KeptFile look_through(int fd, std::uint64_t file_bytes) { return Walk(fd, file_bytes).run(); }

std::optional<std::string> read_record(int fd, const KeptFile::Record& record) {
  std::string out(record.bytes, '\0');
  return read_at(fd, record.at, out.data(), out.size()) ? std::optional(std::move(out)) : std::nullopt;
}

}  // namespace tailgate
