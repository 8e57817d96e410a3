// SPDX-License-Identifier: Apache-2.0
#include "net/body_buffer.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <new>

namespace tailgate {
namespace {

constexpr std::size_t kMappedStep = 64 << 10;  // mappings are charged in such steps
constexpr std::size_t kBlockMin = 512;
constexpr std::size_t kPage = 4 << 10;
constexpr std::size_t kSmallBody = 16 << 10;    // cheap to copy
constexpr std::size_t kFirstGuess = 256 << 10;  // trusted from a claimed length when a recycled block is at hand
constexpr std::size_t kRecycledBlockMin = 4 << 10;
constexpr std::size_t kRecycledBlockMax = 1 << 20;
constexpr std::size_t kRecycledTimesMax = 16;  // a block so many times as large as what is wanted is not taken
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
  // The oldest blocks make room.
  void put(Block block) {
    std::size_t old = 0;
    std::size_t left = bytes;
    for (; old < count && (count - old == blocks.size() || left + block.capacity > kRecycledBytesMax); ++old) {
      left -= blocks[old].capacity;
      std::free(blocks[old].data);
    }
    std::memmove(blocks.data(), blocks.data() + old, (count - old) * sizeof(Block));
    count -= old;
    blocks[count++] = block;
    bytes = left + block.capacity;
  }
  // The newest block that is large enough and not far too large. The search is linear; there are few blocks.
  Block take(std::size_t wanted) {
    for (std::size_t i = count; i > 0; --i) {
      const Block block = blocks[i - 1];
      if (block.capacity < wanted || block.capacity > kRecycledTimesMax * wanted) continue;
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
  } else if (capacity < kRecycledBlockMin) {
    std::free(data);
  } else {
    recycler().put({data, capacity});
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

// The memory that holds `bytes`: below a page a power of two, beyond it whole pages.
constexpr std::size_t block_for(std::size_t bytes) {
  return bytes < kPage ? std::bit_ceil(std::max(bytes, kBlockMin)) : round_up(bytes, kPage);
}

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

// Charges the memory of a body of `wanted` bytes in `capacity`.
bool BodyBuffer::charge_for(std::size_t capacity, std::size_t wanted) {
  const std::size_t bytes = is_mapped(capacity) ? round_up(wanted, kMappedStep) : capacity;
  if (bytes <= charge_.bytes()) return true;
  return charge_.try_grow(bytes - charge_.bytes(), wanted > kLargeBody ? kReserveParts : 0);
}

bool BodyBuffer::take_recycled(std::size_t wanted) {
  const std::size_t first = std::max(wanted, std::min(expected_, kFirstGuess));
  if (first < kRecycledBlockMin) return false;
  const Block block = recycler().take(first);
  if (block.data == nullptr) return false;
  if (!charge_for(block.capacity, wanted)) {
    recycler().put(block);
    return false;
  }
  if (data_ != nullptr) {
    std::memcpy(block.data, data_, size_);
    give_back(data_, capacity_);
  }
  data_ = block.data;
  capacity_ = block.capacity;
  return true;
}

bool BodyBuffer::grow(std::size_t wanted) {
  if (size_ <= kSmallBody && take_recycled(wanted)) return true;
  // Fresh memory is sized by what arrived, not by what the sender claimed: even a block that is hardly touched leaves
  // its pages behind when it is freed. A sender that sends a little and waits gets little.
  const std::size_t ahead = data_ == nullptr ? 0 : slow_ ? wanted / 4 : wanted;
  std::size_t capacity = wanted + ahead;
  if (expected_ >= wanted) capacity = std::min(capacity, expected_);
  capacity = block_for(capacity);
  if (!charge_for(capacity, wanted)) {
    capacity = block_for(wanted);
    if (!charge_for(capacity, wanted)) return false;
  }
  if (is_mapped(capacity)) {
    data_ = remap(data_, size_, capacity_, capacity);
    capacity_ = capacity;
    charge_.shrink_to(round_up(wanted, kMappedStep));
    return true;
  }
  void* const data = std::realloc(data_, capacity);
  if (data == nullptr) throw std::bad_alloc();
  data_ = static_cast<char*>(data);
  capacity_ = capacity;
  return true;
}

// To a smaller block.
void BodyBuffer::move_to(std::size_t capacity) {
  void* const data = std::malloc(capacity);
  if (data == nullptr) return;
  std::memcpy(data, data_, size_);
  give_back(data_, capacity_);
  data_ = static_cast<char*>(data);
  capacity_ = capacity;
  charge_.shrink_to(capacity);
}

void BodyBuffer::fit() {
  if (is_mapped(capacity_)) return;
  const std::size_t roomy =
      size_ < kSmallBody ? 2 * block_for(size_) : 4 * block_for(std::max(size_, std::min(expected_, kFirstGuess)));
  if (capacity_ > roomy) move_to(block_for(size_));
}

void BodyBuffer::trim() {
  slow_ = slow_ || (size_ != 0 && size_ == trimmed_at_);
  trimmed_at_ = size_;
  if (slow_ && !is_mapped(capacity_) && capacity_ > block_for(size_) + size_ / 4) move_to(block_for(size_));
}

char* BodyBuffer::room(std::size_t size) {
  const std::size_t wanted = size_ + size;
  if (wanted > capacity_ ? !grow(wanted) : !charge_for(capacity_, wanted)) return nullptr;
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
