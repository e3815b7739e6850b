"""What botocore and moto do too slowly for long rehearsals; none of it changes an answer."""
