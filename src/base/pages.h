// SPDX-License-Identifier: Apache-2.0
// Pages: zeroed memory straight from the system, for tables that are read at random. From 2 MiB on it asks for huge
// pages: a look-up in such a table misses both the cache and the TLB, and on a virtual machine a TLB miss costs as much
// as a cache miss. The system provides a page only when it is first used.
#pragma once

#include <cstddef>
#include <new>
#include <utility>

namespace tailgate {

enum class PageKind : bool { kSmall, kHuge };
// Aligned to a page, and with kHuge to 2 MiB from 2 MiB on. Throws std::bad_alloc.
void* map_pages(std::size_t bytes, PageKind kind = PageKind::kHuge);
void unmap_pages(void* at, std::size_t bytes);  // the size that was asked for

// A fixed array of plain values that are all zero bits until they are written.
template <class T>
class PageArray {
 public:
  PageArray() = default;
  PageArray(std::size_t size, PageKind kind)
      : size_(size), data_(size != 0 ? static_cast<T*>(map_pages(size * sizeof(T), kind)) : nullptr) {}
  PageArray(PageArray&& other) noexcept
      : size_(std::exchange(other.size_, 0)), data_(std::exchange(other.data_, nullptr)) {}
  PageArray& operator=(PageArray&& other) noexcept {
    std::swap(size_, other.size_);
    std::swap(data_, other.data_);
    return *this;
  }
  ~PageArray() {
    if (data_ != nullptr) unmap_pages(data_, size_ * sizeof(T));
  }
  std::size_t size() const { return size_; }
  T* data() const { return data_; }
  T& operator[](std::size_t i) const { return data_[i]; }

 private:
  std::size_t size_ = 0;
  T* data_ = nullptr;
};

// For containers: large blocks are mapped, small ones come from the heap. Both begin a cache line.
template <class T>
struct PageAllocator {
  using value_type = T;
  static constexpr std::size_t kMapped = 2 << 20;

  PageAllocator() = default;
  template <class U>
  PageAllocator(const PageAllocator<U>&) {}

  T* allocate(std::size_t n) {
    const std::size_t bytes = n * sizeof(T);
    return static_cast<T*>(bytes >= kMapped ? map_pages(bytes) : ::operator new(bytes, std::align_val_t(64)));
  }
  void deallocate(T* p, std::size_t n) {
    if (n * sizeof(T) >= kMapped) return unmap_pages(p, n * sizeof(T));
    ::operator delete(p, std::align_val_t(64));
  }
  friend bool operator==(PageAllocator, PageAllocator) { return true; }
};

}  // namespace tailgate
