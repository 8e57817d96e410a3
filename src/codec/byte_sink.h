// SPDX-License-Identifier: Apache-2.0
// ByteSink: the output of a conversion to OTLP bytes. It is one growing block. Beyond a small start it asks a
// ConversionRoom for its memory, so that a few bytes of a stranger cannot become many of ours. Belongs to one thread.
//
//   ByteSink out(&room);                    // kept by its owner from request to request
//   jaeger_proto_to_otlp(body, out);  ...  out.view();  out.clear();
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/bytes.h"

namespace tailgate {

// Memory for a conversion. grow() returns false when there is none left. The owner of the room gives back what was
// granted when the request is over.
class ConversionRoom {
 public:
  virtual ~ConversionRoom() = default;
  virtual bool grow(std::size_t bytes) = 0;
};

class ByteSink {
 public:
  static constexpr std::size_t kFree = 64 << 10;  // bytes that need no room
  static constexpr std::size_t kKept = 1 << 20;   // bytes that clear() keeps: fresh memory costs more than writing it

  explicit ByteSink(ConversionRoom* room = nullptr) : room_(room) {}
  ByteSink(const ByteSink&) = delete;
  ByteSink& operator=(const ByteSink&) = delete;
  ~ByteSink() { std::free(data_); }

  void set_room(ConversionRoom* room) { room_ = room; }

  // Memory for `more` bytes at the end. Null when there is none; failed() is true from then on.
  char* reserve(std::size_t more) {
    if (size_ + more > capacity_ && !enlarge(size_ + more)) return nullptr;
    return data_ + size_;
  }
  void commit(const char* end) { size_ = static_cast<std::size_t>(end - data_); }

  bool failed() const { return failed_; }
  std::size_t size() const { return size_; }
  char* data() { return data_; }
  ByteView view() const { return {data_, size_}; }

  // Shrinks to `size` bytes, for example after a conversion that failed half way.
  void truncate(std::size_t size) {
    size_ = size;
    failed_ = false;
  }
  void clear() {
    truncate(0);
    repaired_texts_ = 0;
    if (capacity_ <= kKept) return;
    std::free(data_);
    data_ = nullptr;
    capacity_ = 0;
  }

  // Texts of the request that were not Unicode and were repaired.
  void count_repaired(std::uint64_t texts) { repaired_texts_ += texts; }
  std::uint64_t repaired_texts() const { return repaired_texts_; }

  // Appends to a list that a conversion needs besides its output. The room is asked for its memory, too.
  template <class T>
  bool push(std::vector<T>& list, const T& item) {
    if (list.size() == list.capacity()) {
      const std::size_t wanted = list.capacity() == 0 ? 16 : list.capacity() * 2;
      if (wanted * sizeof(T) > kFree && !ask(wanted * sizeof(T))) return false;
      list.reserve(wanted);
    }
    list.push_back(item);
    return true;
  }
  bool ask(std::size_t bytes) {
    if (room_ != nullptr && !room_->grow(bytes)) failed_ = true;
    return !failed_;
  }

 private:
  bool enlarge(std::size_t wanted) {
    std::size_t capacity = capacity_ == 0 ? 4096 : capacity_;
    while (capacity < wanted) capacity *= 2;
    if (failed_ || (capacity > kFree && !ask(capacity - capacity_))) return false;
    void* const block = std::realloc(data_, capacity);  // a large one is moved by its pages, not copied
    if (block == nullptr) {
      failed_ = true;
      return false;
    }
    data_ = static_cast<char*>(block);
    capacity_ = capacity;
    return true;
  }

  ConversionRoom* room_;
  char* data_ = nullptr;
  std::size_t size_ = 0, capacity_ = 0;
  std::uint64_t repaired_texts_ = 0;
  bool failed_ = false;
};

}  // namespace tailgate
