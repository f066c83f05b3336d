//! `qsort`, `bsearch` and the linear searches.
//!
//! The comparator is guest code that may never return, so these own nothing while it runs: elements are sorted where
//! they are. Heap sort needs neither memory nor recursion.

use crate::crt::errno;
use crate::crt::mem;
use crate::export::{Callback, Ptr};
use crate::win_api;

/// An array of guest elements and how to compare them.
#[derive(Clone, Copy)]
struct Array {
    base: u64,
    size: u64,
    compare: Callback,
    /// First argument of the `_s` comparators.
    context: Option<u64>,
}

impl Array {
    fn at(self, index: usize) -> u64 {
        self.base.wrapping_add(self.size.wrapping_mul(index as u64))
    }

    fn order(self, left: u64, right: u64) -> i32 {
        let result = match self.context {
            Some(context) => self.compare.call(&[context, left, right]),
            None => self.compare.call(&[left, right]),
        };
        int_result(result)
    }

    fn is_less(self, left: usize, right: usize) -> bool {
        self.order(self.at(left), self.at(right)) < 0
    }

    fn swap(self, left: usize, right: usize) {
        mem::swap(self.at(left), self.at(right), self.size as usize);
    }

    /// Moves the element at `root` down until its subtree of `count` elements is a heap.
    fn sift_down(self, mut root: usize, count: usize) {
        loop {
            let mut child = 2 * root + 1;
            if child >= count {
                return;
            }
            if child + 1 < count && self.is_less(child, child + 1) {
                child += 1;
            }
            if !self.is_less(root, child) {
                return;
            }
            self.swap(root, child);
            root = child;
        }
    }

    fn sort(self, count: usize) {
        // Short arrays, the common case, keep the order of equal elements.
        const SHORT: usize = 9;
        if count < SHORT {
            for index in 1..count {
                let mut hole = index;
                while hole > 0 && self.is_less(hole, hole - 1) {
                    self.swap(hole, hole - 1);
                    hole -= 1;
                }
            }
            return;
        }
        for root in (0..count / 2).rev() {
            self.sift_down(root, count);
        }
        for end in (1..count).rev() {
            self.swap(0, end);
            self.sift_down(0, end);
        }
    }

    fn search(self, key: u64, count: usize) -> u64 {
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = usize::midpoint(low, high);
            match self.order(key, self.at(middle)) {
                0 => return self.at(middle),
                order if order < 0 => high = middle,
                _ => low = middle + 1,
            }
        }
        0
    }

    fn find(self, key: u64, count: usize) -> u64 {
        (0..count)
            .map(|index| self.at(index))
            .find(|at| self.order(key, *at) == 0)
            .unwrap_or(0)
    }
}

/// Returns the low half of a callback's result: the rest is garbage for an `int`.
fn int_result(result: u64) -> i32 {
    let [a, b, c, d, ..] = result.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

/// Checks arguments as the runtimes do; `None` was reported as an invalid parameter.
fn array(
    base: Ptr<u8>,
    count: usize,
    size: usize,
    compare: Callback,
    context: Option<u64>,
) -> Option<Array> {
    if (base.is_null() && count != 0) || size == 0 || compare.is_null() {
        errno::invalid_parameter();
        return None;
    }
    Some(Array {
        base: base.address(),
        size: size as u64,
        compare,
        context,
    })
}

/// Finds a key in an array by looking at one element after the other, and appends it if `appends`.
fn linear(key: Ptr<u8>, array: Option<Array>, count: Ptr<u32>, appends: bool) -> Ptr<u8> {
    let Some(array) = array else {
        return Ptr::NULL;
    };
    let elements = count.read() as usize;
    let found = array.find(key.address(), elements);
    if found != 0 || !appends {
        return Ptr::new(found);
    }
    mem::copy(array.at(elements), key.address(), array.size as usize);
    count.write(count.read() + 1);
    Ptr::new(array.at(elements))
}

win_api! {
    /// Sorts an array.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" cdecl fn qsort(base: Ptr<u8>, count: usize, size: usize, compare: Callback) {
        if let Some(array) = array(base, count, size, compare, None) {
            array.sort(count);
        }
    }

    /// Sorts an array; the comparator gets a context first.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" cdecl fn qsort_s(base: Ptr<u8>, count: usize, size: usize, compare: Callback, context: Ptr<u8>) {
        if let Some(array) = array(base, count, size, compare, Some(context.address())) {
            array.sort(count);
        }
    }

    /// Finds a key in a sorted array.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" cdecl fn bsearch(key: Ptr<u8>, base: Ptr<u8>, count: usize, size: usize, compare: Callback) -> Ptr<u8> {
        let found = array(base, count, size, compare, None).map_or(0, |array| array.search(key.address(), count));
        Ptr::new(found)
    }

    /// Finds a key in a sorted array; the comparator gets a context first.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" cdecl fn bsearch_s(key: Ptr<u8>, base: Ptr<u8>, count: usize, size: usize, compare: Callback, context: Ptr<u8>) -> Ptr<u8> {
        let array = array(base, count, size, compare, Some(context.address()));
        Ptr::new(array.map_or(0, |array| array.search(key.address(), count)))
    }

    /// Finds a key in an array.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _lfind(key: Ptr<u8>, base: Ptr<u8>, count: Ptr<u32>, size: u32, compare: Callback) -> Ptr<u8> {
        linear(key, array(base, count.read() as usize, size as usize, compare, None), count, false)
    }

    /// Finds a key in an array; the comparator gets a context first.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _lfind_s(key: Ptr<u8>, base: Ptr<u8>, count: Ptr<u32>, size: usize, compare: Callback, context: Ptr<u8>) -> Ptr<u8> {
        linear(key, array(base, count.read() as usize, size, compare, Some(context.address())), count, false)
    }

    /// Finds a key in an array, or appends it.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _lsearch(key: Ptr<u8>, base: Ptr<u8>, count: Ptr<u32>, size: u32, compare: Callback) -> Ptr<u8> {
        linear(key, array(base, count.read() as usize, size as usize, compare, None), count, true)
    }

    /// Finds a key in an array, or appends it; the comparator gets a context first.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _lsearch_s(key: Ptr<u8>, base: Ptr<u8>, count: Ptr<u32>, size: usize, compare: Callback, context: Ptr<u8>) -> Ptr<u8> {
        linear(key, array(base, count.read() as usize, size, compare, Some(context.address())), count, true)
    }
}
