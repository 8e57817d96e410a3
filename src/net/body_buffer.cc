#include "net/body_buffer.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <new>

namespace tailgate {
namespace {

constexpr std::size_t kChargeStep = 64 << 10;
constexpr std::size_t kFirstBlock = 16 << 10;
constexpr std::size_t kFirstGuess =
    256 << 10;  // trusted from a claimed length: address space only, until it is touched
constexpr std::size_t kRecycledBlockMax = 1 << 20;
constexpr std::size_t kRecycledBytesMax = 4 << 20;

struct Block {
  char* data;
  std::size_t capacity;
};

// Last in, first out: the block that is still in the cache goes out first.
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
  // The newest block that is large enough; the few others are looked at in turn.
  Block take(std::size_t wanted) {
    for (std::size_t i = count; i > 0; --i) {
      const Block block = blocks[i - 1];
      if (block.capacity < wanted) continue;
      std::memmove(&blocks[i - 1], &blocks[i], (count - i) * sizeof(Block));
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

constexpr std::size_t round_up(std::size_t bytes, std::size_t step) { return (bytes + step - 1) / step * step; }

}  // namespace

BodyBuffer::BodyBuffer(BodyBuffer&& other) noexcept
    : data_(other.data_),
      size_(other.size_),
      capacity_(other.capacity_),
      expected_(other.expected_),
      charge_(std::move(other.charge_)) {
  other.data_ = nullptr;
  other.size_ = other.capacity_ = other.expected_ = 0;
}

BodyBuffer& BodyBuffer::operator=(BodyBuffer&& other) noexcept {
  if (this == &other) return *this;
  reset();
  data_ = other.data_;
  size_ = other.size_;
  capacity_ = other.capacity_;
  expected_ = other.expected_;
  charge_ = std::move(other.charge_);
  other.data_ = nullptr;
  other.size_ = other.capacity_ = other.expected_ = 0;
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
  std::size_t capacity =
      std::max(wanted, std::max(capacity_ * 2, std::min(std::max(expected_, kFirstBlock), kFirstGuess)));
  if (expected_ >= wanted) capacity = std::min(capacity, expected_);
  capacity = round_up(capacity, 4096);
  void* data = std::realloc(data_, capacity);
  if (data == nullptr) throw std::bad_alloc();
  data_ = static_cast<char*>(data);
  capacity_ = capacity;
}

char* BodyBuffer::room(std::size_t size) {
  const std::size_t wanted = size_ + size;
  if (wanted > charge_.bytes() && !charge_.try_grow(round_up(wanted, kChargeStep) - charge_.bytes())) return nullptr;
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
  if (data_ != nullptr && !recycler().put({data_, capacity_})) std::free(data_);
  data_ = nullptr;
  size_ = capacity_ = expected_ = 0;
  charge_.release();
}

}  // namespace tailgate
