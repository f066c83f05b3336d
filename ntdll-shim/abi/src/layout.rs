//! Layouts of the guest's structures, generic over [`Width`].
