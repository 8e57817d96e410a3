// SPDX-License-Identifier: Apache-2.0
// BodyBuffer: the bytes of one body. The budget's `requests` are charged for the memory that they take, which grows
// with what arrives and never with what a sender claims.
//
//   capacity  up to 1 MiB a block of memory: 512 bytes for a small body, doubled as it grows, at most what is expected.
//             The charge is the whole block. Beyond that a mapping, charged by the size rounded up to 64 KiB, since
//             only that is resident. A body over 1 MiB leaves a sixteenth of the cap to others
//   size      bytes received
//
// Each thread recycles blocks of 4 KiB to 1 MiB (4 MiB in all, which belong to the process's baseline), because the
// first touch of fresh memory costs more than the copy. A recycled block may be up to 16 times as large as the body
// needs; fit() moves a body that is going to wait. A mapping grows without a copy and returns to the system at once.
// Threads: belongs to one; may be moved to another as a whole.
#pragma once

#include <cstddef>

#include "base/byte_budget.h"
#include "base/bytes.h"

namespace tailgate {

// A body larger than kLargeBody may not take the last 1/kReserveParts of the cap: small requests always find room.
inline constexpr std::size_t kLargeBody = 1 << 20;
inline constexpr std::size_t kReserveParts = 16;

class BodyBuffer {
 public:
  BodyBuffer() = default;
  explicit BodyBuffer(ByteBudget* budget)
      : charge_(budget != nullptr ? Charge(*budget, Holder::kRequests) : Charge()) {}
  BodyBuffer(BodyBuffer&& other) noexcept;
  BodyBuffer& operator=(BodyBuffer&& other) noexcept;
  ~BodyBuffer() { reset(); }

  // A hint from a length prefix or Content-Length. Takes no memory.
  void expect(std::size_t bytes) { expected_ = bytes; }

  // False and unchanged when the budget has no room.
  bool append(ByteView bytes);

  // Room for more bytes at the end: write up to `size` there, then add what was written. Null when there is no room.
  char* room(std::size_t size);
  void add(std::size_t written) { size_ += written; }
  void take_back(std::size_t written) { size_ -= written; }

  // Called when the body has to wait for its sender. A body that holds far more memory than it needs moves to less.
  void fit();

  // Called now and then. When nothing has arrived since the last call, gives back the room that is not used; from then
  // on the buffer grows by a quarter at a time. Many slow senders must not keep twice the memory of what they sent.
  void trim();

  ByteView view() const { return {data_, size_}; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::size_t room_bytes() const { return capacity_; }
  std::size_t charged() const { return charge_.bytes(); }

  // An empty charge to the same account, for memory that is needed besides the bytes.
  Charge another_charge() const { return charge_.another(); }

  // Gives memory and charge back.
  void reset();

 private:
  bool grow(std::size_t wanted);
  bool take_recycled(std::size_t wanted);
  bool charge_for(std::size_t capacity, std::size_t wanted);
  void move_to(std::size_t capacity);

  char* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
  std::size_t expected_ = 0;
  std::size_t trimmed_at_ = 0;  // size at the last trim()
  bool slow_ = false;           // it did not grow between two calls of trim()
  Charge charge_;
};

}  // namespace tailgate
