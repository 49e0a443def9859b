"""Real records, held against what their schema says of them."""
