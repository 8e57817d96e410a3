// SPDX-License-Identifier: Apache-2.0
#include "net/body_buffer.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <new>

namespace tailgate {
namespace {

constexpr std::size_t kChargeStep = 64 << 10;
constexpr std::size_t kFirstBlock = 16 << 10;
constexpr std::size_t kFirstGuess = 256 << 10;  // trusted from a claimed length when a recycled block is at hand
constexpr std::size_t kRecycledBlockMax = 1 << 20;
constexpr std::size_t kRecycledBytesMax = 4 << 20;

struct Block {
  char* data;
  std::size_t capacity;
};

// Last in, first out, because the newest block is still in the cache.
struct Recycler {
  std::array<Block, 64> blocks;
  std::size_t count = 0;
  std::size_t bytes = 0;

  ~Recycler() {
    while (count > 0) std::free(blocks[--count].data);
  }
  bool put(Block block) {
    if (block.capacity > kRecycledBlockMax || count == blocks.size() || bytes + block.capacity > kRecycledBytesMax)
      return false;
    blocks[count++] = block;
    bytes += block.capacity;
    return true;
  }
  // The newest block that is large enough. The search is linear; there are few blocks.
  Block take(std::size_t wanted) {
    for (std::size_t i = count; i > 0; --i) {
      const Block block = blocks[i - 1];
      if (block.capacity < wanted) continue;
      std::memmove(blocks.data() + i - 1, blocks.data() + i, (count - i) * sizeof(Block));
      --count;
      bytes -= block.capacity;
      return block;
    }
    return {nullptr, 0};
  }
};

Recycler& recycler() {
  thread_local Recycler r;
  return r;
}

bool is_mapped(std::size_t capacity) { return capacity > kRecycledBlockMax; }

void give_back(char* data, std::size_t capacity) {
  if (is_mapped(capacity)) {
    ::munmap(data, capacity);
  } else if (!recycler().put({data, capacity})) {
    std::free(data);
  }
}

// Returns a mapping of `capacity` bytes that starts with the `size` bytes of the old block, and frees the old block.
char* remap(char* data, std::size_t size, std::size_t before, std::size_t capacity) {
  const bool grows = data != nullptr && is_mapped(before);
  void* const to = grows ? ::mremap(data, before, capacity, MREMAP_MAYMOVE)
                         : ::mmap(nullptr, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (to == MAP_FAILED) throw std::bad_alloc();
  if (!grows && data != nullptr) {
    std::memcpy(to, data, size);
    give_back(data, before);
  }
  return static_cast<char*>(to);
}

constexpr std::size_t round_up(std::size_t bytes, std::size_t step) { return (bytes + step - 1) / step * step; }

}  // namespace

BodyBuffer::BodyBuffer(BodyBuffer&& other) noexcept
    : data_(other.data_),
      size_(other.size_),
      capacity_(other.capacity_),
      expected_(other.expected_),
      trimmed_at_(other.trimmed_at_),
      slow_(other.slow_),
      charge_(std::move(other.charge_)) {
  other.data_ = nullptr;
  other.size_ = other.capacity_ = other.expected_ = other.trimmed_at_ = 0;
  other.slow_ = false;
}

BodyBuffer& BodyBuffer::operator=(BodyBuffer&& other) noexcept {
  if (this == &other) return *this;
  reset();
  data_ = other.data_;
  size_ = other.size_;
  capacity_ = other.capacity_;
  expected_ = other.expected_;
  trimmed_at_ = other.trimmed_at_;
  slow_ = other.slow_;
  charge_ = std::move(other.charge_);
  other.data_ = nullptr;
  other.size_ = other.capacity_ = other.expected_ = other.trimmed_at_ = 0;
  other.slow_ = false;
  return *this;
}

void BodyBuffer::grow(std::size_t wanted) {
  if (data_ == nullptr) {
    const std::size_t first = std::max(wanted, std::min(std::max(expected_, kFirstBlock), kFirstGuess));
    if (const Block block = recycler().take(first); block.data != nullptr) {
      data_ = block.data;
      capacity_ = block.capacity;
      return;
    }
  }
  // Fresh memory is sized by what arrived, not by what the sender claimed: even a block that is hardly touched leaves
  // its pages behind when it is freed. A sender that sends a little and waits gets little.
  const std::size_t ahead = data_ == nullptr ? 0 : slow_ ? wanted / 4 : wanted;
  std::size_t capacity = std::max(wanted + ahead, kFirstBlock);
  if (expected_ >= wanted) capacity = std::min(capacity, expected_);
  capacity = round_up(capacity, 4096);
  if (is_mapped(capacity)) {
    data_ = remap(data_, size_, capacity_, capacity);
  } else {
    void* const data = std::realloc(data_, capacity);
    if (data == nullptr) throw std::bad_alloc();
    data_ = static_cast<char*>(data);
  }
  capacity_ = capacity;
}

void BodyBuffer::trim() {
  slow_ = slow_ || (size_ != 0 && size_ == trimmed_at_);
  trimmed_at_ = size_;
  const std::size_t needed = round_up(std::max(size_, kFirstBlock), 4096);
  if (!slow_ || is_mapped(capacity_) || capacity_ <= needed + size_ / 4) return;
  if (void* const data = std::realloc(data_, needed); data != nullptr) {
    data_ = static_cast<char*>(data);
    capacity_ = needed;
  }
}

char* BodyBuffer::room(std::size_t size) {
  const std::size_t wanted = size_ + size;
  const std::size_t reserve_parts = wanted > kLargeBody ? kReserveParts : 0;
  if (wanted > charge_.bytes() && !charge_.try_grow(round_up(wanted, kChargeStep) - charge_.bytes(), reserve_parts)) {
    return nullptr;
  }
  if (wanted > capacity_) grow(wanted);
  return data_ + size_;
}

bool BodyBuffer::append(ByteView bytes) {
  if (bytes.empty()) return true;
  char* to = room(bytes.size());
  if (to == nullptr) return false;
  std::memcpy(to, bytes.data(), bytes.size());
  size_ += bytes.size();
  return true;
}

void BodyBuffer::reset() {
  if (data_ != nullptr) give_back(data_, capacity_);
  data_ = nullptr;
  size_ = capacity_ = expected_ = trimmed_at_ = 0;
  slow_ = false;
  charge_.release();
}

}  // namespace tailgate
