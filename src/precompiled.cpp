// The precompiled headers of the library belong to this file; the others use them.
