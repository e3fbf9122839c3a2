CREATE TABLE agents (agent_id INT PRIMARY KEY, agent_name TEXT, phone TEXT, region TEXT);
CREATE TABLE homes (home_id INT PRIMARY KEY, street TEXT, city TEXT, kind TEXT, rooms INT, area_sqm INT, listed_on DATE, asking_price NUMERIC, agent_id INT REFERENCES agents);
CREATE TABLE buyers (buyer_id INT PRIMARY KEY, buyer_name TEXT, referrer_id INT REFERENCES buyers, budget NUMERIC);
CREATE TABLE viewings (viewing_id INT PRIMARY KEY, home_id INT REFERENCES homes, buyer_id INT REFERENCES buyers, viewed_on DATE, rating INT);
CREATE TABLE deals (deal_id INT PRIMARY KEY, home_id INT REFERENCES homes, buyer_id INT REFERENCES buyers, sold_on DATE, price NUMERIC, commission NUMERIC);
