#pragma once
namespace shapes {
struct Rectangle {
    int width;
    int height;
};
} // namespace shapes
