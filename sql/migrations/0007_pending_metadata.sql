-- A filter by metadata reads what is not yet sorted into the index: up to 4 MB by default, which takes 4.7 ms. Sorted
-- into it 256 kB at a time, a write takes as long as before, and a filter 0.3 ms.
alter index installations_by_metadata set (gin_pending_list_limit = 256);
